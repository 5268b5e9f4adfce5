// The frame: header, which view, help, theme.
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { address, setCsrf, useGet } from "./api";
import { kept } from "./filter";
import { useKeys } from "./keys";
import { Live } from "./parts/live";
import { Answer, Nothing } from "./parts/state";
import { go, href, parse, useRoute } from "./route";
import type { Route } from "./route";
import type { Run, Session } from "./types";
import { CircuitsView } from "./views/circuits";
import { canCompare, CompareView } from "./views/compare";
import { FiguresView } from "./views/figures";
import { LatentView } from "./views/latent";
import { Overview } from "./views/overview";
import { QuizView } from "./views/quiz";
import { OwnTextView } from "./views/own_text";

const themes = ["auto", "light", "dark"] as const;

function useTheme() {
  const [theme, setTheme] = useState<string>(() => localStorage.getItem("gloss-theme") ?? "auto");
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("gloss-theme", theme);
    dispatchEvent(new Event("gloss-theme"));
  }, [theme]);
  const next = themes[(themes.indexOf(theme as (typeof themes)[number]) + 1) % themes.length]!;
  return <button type="button" onClick={() => setTheme(next)} title="Colours: as the system says, light or dark">Theme: {theme}</button>;
}

const keys: [string, string][] = [
  ["j, k", "next and previous row of the table; next and previous latent on a latent's page"],
  ["Enter", "open the latent of the row"],
  ["/", "go to the filter"],
  ["r", "a random latent of the filter"],
  ["o", "back to the overview"],
  ["?", "this list; Escape closes it"],
  ["← →", "in a window: from one token that fires to the next"],
];

function Help({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={close} aria-label="Keys">
      <h2>Keys</h2>
      <dl class="keys">{keys.map(([key, what]) => <><dt><kbd>{key}</kbd></dt><dd>{what}</dd></>)}</dl>
      <button type="button" onClick={() => dialog.current?.close()}>Close</button>
    </dialog>
  );
}

export interface ViewProps { run: Run; runs: Run[]; route: Route; session: Session }

function View(props: ViewProps) {
  const [, , view, hookpoint, latent] = props.route.path;
  switch (view) {
    case undefined: return <Overview {...props} />;
    case "latent": return <LatentView {...props} hookpoint={hookpoint ?? ""} latent={Number(latent)} key={`${hookpoint}/${latent}`} />;
    case "compare": return <CompareView {...props} />;
    case "figures": return <FiguresView {...props} />;
    case "circuits": return <CircuitsView {...props} />;
    case "quiz": return <QuizView {...props} hookpoint={hookpoint ?? ""} latent={Number(latent)} />;
    case "text": return <OwnTextView {...props} />;
    default: return <><h1>No such view</h1><Nothing>There is no view named “{view}”.</Nothing></>;
  }
}

function Page() {
  const route = useRoute();
  const session = useGet<Session>(address(["session"]));
  const runs = useGet<Run[]>(address(["runs"]));
  const [help, setHelp] = useState(false);
  const theme = useTheme();
  const id = route.path[0] === "run" ? route.path[1]! : "0";
  const run = runs.data?.find((r) => String(r.id) === id);
  if (session.data) setCsrf(session.data.csrf);
  useKeys({ "?": () => setHelp(true), o: () => go(href(["run", id])) });
  useEffect(() => {
    const [, , view, hookpoint, latent] = route.path;
    document.title = [latent && `${hookpoint}/${latent}`, view && view !== "latent" && view, run?.name, "gloss"].filter(Boolean).join(" · ");
  });
  const path = route.path.join("/");
  const before = useRef(path);
  useEffect(() => {
    if (before.current === path) return;
    before.current = path;
    scrollTo(0, 0);
    document.getElementById("content")?.focus({ preventScroll: true });
  }, [path]);
  const views: [string, string][] = [["", "Latents"], ["figures", "Figures"], ["circuits", "Circuits"], ["quiz", "Quiz"]];
  if (run && runs.data && canCompare(run, runs.data)) views.splice(1, 0, ["compare", "Compare"]);
  if (session.data?.can.text) views.push(["text", "Your text"]);
  const at = route.path[2] === "latent" ? "" : route.path[2] ?? "";
  return (
    <>
      <a class="skip" href="#content" onClick={(e) => { e.preventDefault(); document.getElementById("content")?.focus(); }}>To the content</a>
      <header>
        <a class="name" href={href(["run", id])}>gloss</a>
        {runs.data && runs.data.length > 1 ? (
          <label class="run"><span class="unseen">Run</span>
            <select value={id} onChange={(e) => go(href(["run", e.currentTarget.value]))}>
              {runs.data.map((r) => <option value={String(r.id)} selected={String(r.id) === id}>{r.name}</option>)}
            </select>
          </label>
        ) : <span class="run">{run?.name}</span>}
        <nav aria-label="Views">
          {views.map(([view, label]) => (
            <a href={href(view ? ["run", id, view] : ["run", id], view === "figures" || (view === "" && at === "figures") ? kept(route.query) : undefined)} aria-current={at === view ? "page" : undefined}>{label}</a>
          ))}
        </nav>
        <span class="tools">{theme}<button type="button" onClick={() => setHelp(true)} aria-label="Keys and help">?</button></span>
      </header>
      {run && <Live id={id} shown={runs.again} />}
      <main id="content" tabIndex={-1}>
        {session.fault && <Answer asked={session} what="the session">{() => null}</Answer>}
        <Answer asked={runs} what="the runs">
          {(all) => run && session.data ? <View run={run} runs={all} route={route} session={session.data} />
            : run ? null
            : all.length === 0 ? <Nothing>The server has no run.</Nothing>
            : <><h1>No such run</h1><Nothing>There is no run {id}. <a href={href(["run", String(all[0]!.id)])}>{all[0]!.name}</a></Nothing></>}
        </Answer>
      </main>
      <footer>{session.data && <>gloss {session.data.version}{session.data.read_only && " · read only"}</>}</footer>
      {help && <Help close={() => setHelp(false)} />}
    </>
  );
}

document.documentElement.dataset.theme = localStorage.getItem("gloss-theme") ?? "auto";
if (parse(location.hash).path.length === 0) history.replaceState(null, "", href(["run", "0"]));
render(<Page />, document.getElementById("page")!);
