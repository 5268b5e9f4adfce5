// Prompt and reply of every call to a language model, folded; asked for when opened.
import { useState } from "preact/hooks";
import { address, useGet } from "../api";
import { Answer, Nothing } from "../parts/state";
import { Text } from "../parts/tokens";
import { plain, short, whole } from "../show";
import type { Call } from "../types";
import type { Place } from "./latent";

function One({ call, open }: { call: Call; open?: boolean }) {
  return (
    <details class="call" open={open}>
      <summary>{call.failed ? <b class="bad">failed </b> : ""}{call.stage} <small>{[call.provider, call.model].filter(Boolean).join(" · ")} · {whole(call.prompt_tokens)} → {whole(call.completion_tokens)} tokens{call.dollars !== null && ` · $${short(call.dollars)}`} · {call.hash.slice(0, 12)}</small></summary>
      {call.failed ? <p class="bad"><Text text={plain(call.failed)} /></p> : null}
      {call.messages ? call.messages.map((m) => <><h4>{m.role}</h4><pre><bdi>{m.text}</bdi></pre></>) : <Nothing>The prompt is not stored.</Nothing>}
      <h4>reply</h4>
      {call.reply === null ? <Nothing>No reply.</Nothing> : <pre><bdi>{call.reply}</bdi></pre>}
    </details>
  );
}

/** By stage, since a latent can have hundreds. */
const Groups = ({ calls }: { calls: Call[] }) => (
  <>
    {[...new Set(calls.map((call) => call.stage))].map((stage) => {
      const some = calls.filter((call) => call.stage === stage);
      const failed = some.filter((call) => call.failed).length;
      return (
        <details class="call" open={calls.length <= 20}>
          <summary>{stage}: {whole(some.length)} call{some.length === 1 ? "" : "s"}{failed > 0 && <b class="bad">, {failed} failed</b>}</summary>
          {some.map((call) => <One call={call} key={call.hash} />)}
        </details>
      );
    })}
  </>
);

/** The call behind something that is shown, asked for when it is opened. */
export function CallOf({ place, hash }: { place: Place; hash: string }) {
  const [open, setOpen] = useState(false);
  const asked = useGet<{ calls: Call[] }>(open ? address(["runs", place.id, "calls"], { hookpoint: place.hookpoint, latent: place.latent }) : null);
  return (
    <details onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary class="note">The call behind it <code>{hash.slice(0, 12)}</code></summary>
      {open && <Answer asked={asked} what="the call">
        {({ calls }) => {
          const call = calls.find((c) => c.hash === hash);
          return call ? <One call={call} open /> : <Nothing>The run does not keep this call.</Nothing>;
        }}
      </Answer>}
    </details>
  );
}

export function Calls({ place }: { place: Place }) {
  const [open, setOpen] = useState(false);
  const asked = useGet<{ calls: Call[] }>(open ? address(["runs", place.id, "calls"], { hookpoint: place.hookpoint, latent: place.latent }) : null);
  return (
    <section aria-label="Calls">
      <h2>Calls</h2>
      <details onToggle={(e) => setOpen(e.currentTarget.open)}>
        <summary>Prompts and replies</summary>
        {open && <Answer asked={asked} what="calls">
          {({ calls }) => calls.length === 0 ? <Nothing>The run keeps no call for this latent.</Nothing> : <Groups calls={calls} />}
        </Answer>}
      </details>
    </section>
  );
}
