// What the model writes with and without some of this latent.
import { useEffect, useRef, useState } from "preact/hooks";
import { address, Fault, post } from "../api";
import { Failure } from "../parts/state";
import { short } from "../show";

interface Steered { without: string; with: string }

export function Steering({ id, hookpoint, latent, max }: { id: string; hookpoint: string; latent: number; max: number | null }) {
  const [prompt, setPrompt] = useState("Once upon a time");
  const [strength, setStrength] = useState(1);
  const [state, setState] = useState<{ busy?: boolean; fault?: Fault; said?: Steered }>({});
  const running = useRef<AbortController>();
  useEffect(() => () => running.current?.abort(), []);
  const ask = (strength: number) => {
    running.current?.abort();
    const stop = (running.current = new AbortController());
    setState({ ...state, busy: true });
    post<Steered>(address(["steer"]), { prompt, hookpoint, latent, run: id, strength, tokens: 40 }, stop.signal).then(
      (said) => { if (!stop.signal.aborted) setState({ said }); },
      (fault) => { if (!stop.signal.aborted) setState({ fault: fault instanceof Fault ? fault : new Fault(String(fault)) }); },
    );
  };
  return (
    <section aria-label="Steering">
      <h2>Steering</h2>
      <form onSubmit={(e) => { e.preventDefault(); ask(strength); }}>
        <label class="block"><span>Prompt</span><textarea rows={2} value={prompt} onInput={(e) => setPrompt(e.currentTarget.value)} /></label>
        <label class="block"><span>Strength: {short(strength)} times its largest activation{max === null ? "" : ` = ${short(strength * max)}`}</span>
          <input type="range" min="-4" max="4" step="0.1" value={strength} onInput={(e) => setStrength(Number(e.currentTarget.value))} onChange={(e) => ask(Number(e.currentTarget.value))} /></label>
        <button type="submit" disabled={prompt === ""}>Continue the prompt</button>
      </form>
      <p role="status" class={state.busy ? "loading" : "unseen"}>{state.busy ? "The model writes …" : ""}</p>
      {state.fault && <Failure fault={state.fault} again={() => ask(strength)} />}
      {state.said && (
        <div class="pair">
          <div><h3>Without</h3><pre><bdi>{state.said.without}</bdi></pre></div>
          <div><h3>With</h3><pre><bdi>{state.said.with}</bdi></pre></div>
        </div>
      )}
    </section>
  );
}
