// Your text: which latents fire at its tokens.
import { useEffect, useState } from "preact/hooks";
import { address, Fault, post } from "../api";
import type { ViewProps } from "../main";
import { Choice } from "../parts/fields";
import { Failure, Nothing } from "../parts/state";
import { Text, Tokens } from "../parts/tokens";
import { latentHref, setQuery } from "../route";
import { inLine, num, visible, whole } from "../show";
import type { OwnText, Run } from "../types";

/** Tells this page from others: of its texts, a later one overtakes those that wait. */
const page = Math.random().toString(36).slice(2);

interface State { busy?: boolean; fault?: Fault; data?: OwnText }

/** Asks a moment after the last key; a new text cancels the question before. */
function useLatentsOf(run: string, text: string, hookpoint: string): State & { again: () => void } {
  const [state, setState] = useState<State>({});
  const [tries, setTries] = useState(0);
  useEffect(() => {
    if (text.trim() === "") return setState({});
    const stop = new AbortController();
    setState((old) => ({ data: old.data, busy: true }));
    const timer = setTimeout(() => {
      post<OwnText>(address(["text"]), { text, hookpoint, run, page }, stop.signal).then(
        (data) => { if (!stop.signal.aborted) setState({ data }); },
        (error) => { if (!stop.signal.aborted) setState({ fault: error instanceof Fault ? error : new Fault(String(error)) }); },
      );
    }, 300);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [run, text, hookpoint, tries]);
  return { ...state, again: () => setTries(tries + 1) };
}

function Heat({ data, latent, choose }: { data: OwnText; latent: number | null; choose: (token: number) => void }) {
  if (latent === null) {
    return (
      <p class="tokens" dir="auto">
        {data.tokens.map((token, i) => (
          <button type="button" class="token pick" onClick={() => choose(i)} aria-label={`token ${i + 1}: ${visible(token.t)}, ${token.latents.length} latents`}><bdi>{inLine(token.t)}</bdi></button>
        ))}
      </p>
    );
  }
  const tokens = data.tokens.map(({ t, partial, latents }) => ({ t, partial, a: latents.find((f) => f.latent === latent)?.a ?? null }));
  const max = Math.max(0, ...tokens.map((t) => t.a ?? 0));
  return <Tokens tokens={tokens} max={max} peak={tokens.findIndex((t) => t.a !== null && t.a === max)} label={`Your text, latent ${latent}`} />;
}

function Found({ run, data, hookpoint }: { run: Run; data: OwnText; hookpoint: string }) {
  const [latent, setLatent] = useState<number | null>(null);
  const [token, setToken] = useState<number | null>(null);
  useEffect(() => setToken(null), [data]);
  const at = token === null ? undefined : data.tokens[token];
  const rows = at ? at.latents.map((f) => ({ latent: f.latent, max: f.a, sum: null, explanation: f.explanation })) : data.latents;
  return (
    <>
      <div class="fields">
        {latent !== null && <button type="button" onClick={() => setLatent(null)}>Show tokens, not latent {latent}</button>}
        {at && <button type="button" onClick={() => setToken(null)}>Latents of the whole text</button>}
      </div>
      {data.cut && <p class="note">Only the first {whole(data.tokens.length)} tokens are read.</p>}
      <Heat data={data} latent={latent} choose={setToken} />
      <h2>{at ? <>Latents at <span class="chip"><Text text={at.t} /></span></> : "Latents of the text"}</h2>
      {rows.length === 0 ? <Nothing>No latent fires here.</Nothing> : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Latents of your text">
          <table>
            <thead><tr><th scope="col">latent</th><th scope="col">{at ? "activation" : "max"}</th>{!at && <th scope="col">sum</th>}<th scope="col">explanation</th><th scope="col">heat</th></tr></thead>
            <tbody>{rows.map((row) => (
              <tr class={row.latent === latent ? "at" : undefined}>
                <th scope="row"><a href={latentHref(String(run.id), hookpoint, row.latent)}>{row.latent}</a></th>
                <td class="n">{num(row.max)}</td>{!at && <td class="n">{num(row.sum)}</td>}
                <td>{row.explanation ? <Text text={row.explanation} /> : <span class="nothing">not explained</span>}</td>
                <td><button type="button" aria-pressed={row.latent === latent} aria-label={`heat of latent ${row.latent}`} onClick={() => setLatent(row.latent === latent ? null : row.latent)}>heat</button></td>
              </tr>
            ))}</tbody>
          </table>
        </div>
      )}
    </>
  );
}

export function OwnTextView({ run, route, session }: ViewProps) {
  const hookpoint = route.query.get("hookpoint") ?? run.hookpoints[0]?.name ?? "";
  const [text, setText] = useState(route.query.get("text") ?? "");
  const { busy, fault, data, again } = useLatentsOf(String(run.id), session.can.text ? text : "", hookpoint);
  useEffect(() => {
    const timer = setTimeout(() => setQuery({ text: text.length < 500 ? text : "" }, true), 400);
    return () => clearTimeout(timer);
  }, [text]);
  if (!session.can.text) return <><h1>Your text</h1><Nothing>The server has no model: start it with <code>--model</code> and <code>--sae</code>.</Nothing></>;
  return (
    <>
      <h1>Your text</h1>
      <label class="block"><span>Text</span><textarea rows={4} value={text} onInput={(e) => setText(e.currentTarget.value)} /></label>
      {run.hookpoints.length > 1 && <div class="fields"><Choice label="Hookpoint" value={hookpoint} options={run.hookpoints.map((h) => h.name)} change={(v) => setQuery({ hookpoint: v }, true)} /></div>}
      <p role="status" aria-busy={busy} class={busy ? "loading" : "unseen"}>{busy ? "The model reads …" : ""}</p>
      {fault && <Failure fault={fault} again={again} />}
      {!data && !busy && !fault && <Nothing>Write something: the latents that fire at each token appear here.</Nothing>}
      {data && <div class={busy ? "stale" : undefined}><Found run={run} data={data} hookpoint={hookpoint} /></div>}
    </>
  );
}
