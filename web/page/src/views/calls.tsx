// Prompt and reply of every call to a language model, folded; asked for when opened.
import { useState } from "preact/hooks";
import { address, useGet } from "../api";
import { Answer, Nothing } from "../parts/state";
import { Text } from "../parts/tokens";
import { plain, short, whole } from "../show";
import type { Call, Message } from "../types";
import type { Place } from "./latent";

type Answered = { calls: Call[]; messages: Message[] };

/** The last of those that are asked is what this call is about; those before it, which many calls share, are folded. */
function Asked({ messages }: { messages: Message[] }) {
  const last = messages.map((m) => m.role !== "choices").lastIndexOf(true);
  return (
    <>
      {messages.map((m, i) => i >= last
        ? <><h4>{m.role}</h4><pre><bdi>{m.text}</bdi></pre></>
        : <details><summary><b>{m.role}</b> <small>{whole(m.text.length)} characters</small></summary><pre><bdi>{m.text}</bdi></pre></details>)}
    </>
  );
}

function One({ call, messages, open }: { call: Call; messages: Message[]; open?: boolean }) {
  return (
    <details class="call" open={open}>
      <summary>{call.failed ? <b class="bad">failed </b> : ""}{call.stage} <small>{[call.provider, call.model].filter(Boolean).join(" · ")} · {whole(call.prompt_tokens)} → {whole(call.completion_tokens)} tokens{call.dollars !== null && ` · $${short(call.dollars)}`} · {call.hash.slice(0, 12)}</small></summary>
      {call.failed ? <p class="bad"><Text text={plain(call.failed)} /></p> : null}
      {call.messages ? <Asked messages={call.messages.flatMap((place) => messages[place] ?? [])} /> : <Nothing>The prompt was not kept.</Nothing>}
      <h4>reply</h4>
      {call.reply === null ? <Nothing>No reply.</Nothing> : <pre><bdi>{call.reply}</bdi></pre>}
    </details>
  );
}

/** By stage, since a latent can have hundreds. */
const Groups = ({ calls, messages }: Answered) => (
  <>
    {[...new Set(calls.map((call) => call.stage))].map((stage) => {
      const some = calls.filter((call) => call.stage === stage);
      const failed = some.filter((call) => call.failed).length;
      return (
        <details class="call" open={calls.length <= 20}>
          <summary>{stage}: {whole(some.length)} call{some.length === 1 ? "" : "s"}{failed > 0 && <b class="bad">, {failed} failed</b>}</summary>
          {some.map((call) => <One call={call} messages={messages} key={call.hash} />)}
        </details>
      );
    })}
  </>
);

/** The call behind something that is shown, asked for when it is opened. */
export function CallOf({ place, hash }: { place: Place; hash: string }) {
  const [open, setOpen] = useState(false);
  const asked = useGet<Answered>(open ? address(["runs", place.id, "calls"], { hookpoint: place.hookpoint, latent: place.latent }) : null);
  return (
    <details onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary class="note">The call behind it <code>{hash.slice(0, 12)}</code></summary>
      {open && <Answer asked={asked} what="the call">
        {({ calls, messages }) => {
          const call = calls.find((c) => c.hash === hash);
          return call ? <One call={call} messages={messages} open /> : <Nothing>The run does not keep this call.</Nothing>;
        }}
      </Answer>}
    </details>
  );
}

export function Calls({ place }: { place: Place }) {
  const [open, setOpen] = useState(false);
  const asked = useGet<Answered>(open ? address(["runs", place.id, "calls"], { hookpoint: place.hookpoint, latent: place.latent }) : null);
  return (
    <section aria-label="Calls">
      <h2>Calls</h2>
      <details onToggle={(e) => setOpen(e.currentTarget.open)}>
        <summary>Prompts and replies</summary>
        {open && <Answer asked={asked} what="calls">
          {(answered) => answered.calls.length === 0 ? <Nothing>The run keeps no call for this latent.</Nothing> : <Groups {...answered} />}
        </Answer>}
      </details>
    </section>
  );
}
