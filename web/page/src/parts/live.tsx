// What goes on with the run meanwhile: jobs of other processes, and results that came in since it was opened.
import { useEffect, useState } from "preact/hooks";
import { address, type Fault, post } from "../api";
import { duration, short, whole } from "../show";
import type { Events, Job } from "../types";
import { Text } from "./tokens";

/** Asks as often as the server says, and not while nobody looks. */
function useEvents(id: string): [Events | undefined, () => void] {
  const [events, setEvents] = useState<Events>();
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    let source: EventSource | undefined;
    const close = () => { source?.close(); source = undefined; };
    const open = () => {
      close();
      if (document.hidden) return;
      source = new EventSource(address(["events"], { run: id }));
      source.onmessage = (message) => setEvents(JSON.parse(message.data));
    };
    open();
    document.addEventListener("visibilitychange", open);
    return () => { close(); document.removeEventListener("visibilitychange", open); };
  }, [id, asked]);
  return [events?.run === id ? events : undefined, () => { setEvents(undefined); setAsked(asked + 1); }];
}

function JobLine({ job }: { job: Job }) {
  const stage = job.stage.startsWith(job.command) ? job.stage.slice(job.command.length).trim() : job.stage;
  return (
    <p class="job">
      <b>gloss {job.command}</b>{stage && <> <Text text={stage} /></>}: {whole(job.done)}{job.total !== null && <> of {whole(job.total)}</>} <Text text={job.unit} />
      {job.total !== null && <progress value={job.done} max={job.total} aria-label={`gloss ${job.command}`} />}
      {job.rate !== null && <span> {short(job.rate)}/s</span>}{job.left_s !== null && <span>, {duration(job.left_s)} left</span>}
      {job.detail && <small> <Text text={job.detail} /></small>}
    </p>
  );
}

const count = (n: number, one: string) => `${whole(n)} new ${one}${n === 1 ? "" : "s"}`;

export function Live({ id, shown }: { id: string; shown: () => void }) {
  const [events, again] = useEvents(id);
  const [state, setState] = useState<"" | "opening" | Fault>("");
  if (!events || (events.jobs.length === 0 && !events.changed && state === "")) return null;
  const news = [events.explanations > 0 && count(events.explanations, "explanation"), events.scores > 0 && count(events.scores, "score")].filter(Boolean).join(", ");
  const show = () => {
    setState("opening");
    post(address(["runs", id, "reload"]), {}).then(() => { setState(""); again(); shown(); }, setState);
  };
  return (
    <section class="live" aria-label="What goes on with this run">
      {events.jobs.map((job) => <JobLine job={job} />)}
      {events.changed && (
        <p role="status">{news || "Results changed"} since the run was opened.{" "}
          <button type="button" disabled={state === "opening"} onClick={show}>{state === "opening" ? "Opening…" : "Show"}</button>
        </p>
      )}
      {typeof state === "object" && <p class="bad" role="alert"><Text text={state.found} /></p>}
    </section>
  );
}
