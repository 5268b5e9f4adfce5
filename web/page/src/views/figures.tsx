// Figures of the run, drawn by Vega-Lite, which is loaded here and nowhere else.
import { useEffect, useRef, useState } from "preact/hooks";
import { address, Fault, type Params, useGet } from "../api";
import { filterParams, kept } from "../filter";
import type { ViewProps } from "../main";
import { Answer, Failure, Nothing } from "../parts/state";
import { href } from "../route";
import { whole } from "../show";
import type { Figure, Rows, Run } from "../types";
import { Filters } from "./filters";

type Draw = (place: HTMLElement, spec: unknown, name: string, options: object) => Promise<{ finalize(): void } | undefined>;
declare global {
  interface Window { glossFigure?: Draw }
}

let loading: Promise<Draw> | undefined;

function drawer(): Promise<Draw> {
  loading ??= new Promise<Draw>((done, failed) => {
    const script = document.createElement("script");
    script.src = "/assets/figures.js";
    script.onload = () => (window.glossFigure ? done(window.glossFigure) : failed(new Fault("figures.js without glossFigure")));
    script.onerror = () => { loading = undefined; script.remove(); failed(new Fault("no answer from the server", "/assets/figures.js")); };
    document.head.append(script);
  });
  return loading;
}

const isDark = () => getComputedStyle(document.documentElement).colorScheme === "dark" ||
  (getComputedStyle(document.documentElement).colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);

function Drawing({ spec, name }: { spec: unknown; name: string }) {
  const place = useRef<HTMLDivElement>(null);
  const [fault, setFault] = useState<Fault>();
  const [dark, setDark] = useState(isDark());
  const [tries, setTries] = useState(0);
  useEffect(() => {
    const change = () => setDark(isDark());
    const system = matchMedia("(prefers-color-scheme: dark)");
    addEventListener("gloss-theme", change);
    system.addEventListener("change", change);
    return () => { removeEventListener("gloss-theme", change); system.removeEventListener("change", change); };
  }, []);
  useEffect(() => {
    let view: { finalize(): void } | undefined;
    let gone = false;
    // The page's policy allows no style elements, so Vega's own are left out; the tooltip is the elements' title.
    const options = { theme: dark ? "dark" : undefined, actions: false, defaultStyle: false, tooltip: false };
    setFault(undefined);
    drawer().then((draw) => (gone ? undefined : draw(place.current!, spec, name, options))).then(
      (drawn) => { view = drawn; if (gone) view?.finalize(); }, setFault);
    return () => { gone = true; view?.finalize(); };
  }, [spec, dark, tries]);
  return <>{fault && <Failure fault={fault} again={() => setTries(tries + 1)} />}<div class="drawing scroll" tabIndex={0} role="region" aria-label={`Figure ${name}`} ref={place} /></>;
}

export function FigureOf({ id, name, latent, filter }: { id: string; name: string; latent?: string; filter?: Params }) {
  const asked = useGet<unknown>(address(["runs", id, "figures", name], { latent, ...filter }));
  const save = (spec: unknown) => URL.createObjectURL(new Blob([JSON.stringify(spec, null, 1)], { type: "application/json" }));
  return (
    <Answer asked={asked} what={`figure ${name}`}>
      {(spec) => (
        <>
          <Drawing spec={spec} name={name} />
          <p class="note"><a href="#" onClick={(e) => {
            e.preventDefault();
            const link = document.createElement("a");
            link.href = save(spec);
            link.download = `${name}.vl.json`;
            link.click();
            setTimeout(() => URL.revokeObjectURL(link.href), 1000);
          }}>Save the specification with its numbers</a></p>
        </>
      )}
    </Answer>
  );
}

function List({ run, figures, chosen, query, filtered }: { run: Run; figures: Figure[]; chosen?: string; query: URLSearchParams; filtered: boolean }) {
  const figure = figures.find((f) => f.name === chosen) ?? figures[0];
  if (!figure) return <Nothing>{filtered ? "None of these latents has a score, so there is nothing to draw." : "The run has no scores yet, so there is nothing to draw."}</Nothing>;
  return (
    <>
      <nav class="list" aria-label="Figures">
        {figures.map((f) => <a href={href(["run", String(run.id), "figures", f.name], kept(query))} aria-current={f === figure ? "true" : undefined}><bdi>{f.title}</bdi></a>)}
      </nav>
      <h2><bdi>{figure.title}</bdi></h2>
      <p><bdi>{figure.text}</bdi></p>
      <FigureOf id={String(run.id)} name={figure.name} filter={filterParams(query)} key={figure.name} />
    </>
  );
}

/** Which latents the figures are of. */
function Of({ run, query, filtered }: { run: Run; query: URLSearchParams; filtered: boolean }) {
  const rows = useGet<Rows>(address(["runs", String(run.id), "latents"], { ...filterParams(query), limit: 1 }));
  return (
    <>
      <details class="choose" open={filtered || undefined}>
        <summary>Of which latents{filtered && <b> · filtered</b>}</summary>
        <Filters run={run} query={query} />
      </details>
      <Answer asked={rows} what="the latents">
        {(data) => <p role="status">{filtered ? `Of ${whole(data.total)} of ${whole(run.latents)} latents, those that meet the filter.` : `Of all ${whole(run.latents)} latents.`}</p>}
      </Answer>
    </>
  );
}

export function FiguresView({ run, route }: ViewProps) {
  const { query } = route;
  const filter = filterParams(query);
  const filtered = Object.entries(filter).some(([name, value]) => Boolean(value) && name !== "explainer");
  const asked = useGet<Figure[]>(address(["runs", String(run.id), "figures"], filter));
  return (
    <>
      <h1>Figures</h1>
      <Of run={run} query={query} filtered={filtered} />
      <Answer asked={asked} what="figures">{(figures) => <List run={run} figures={figures} chosen={route.path[3]} query={query} filtered={filtered} />}</Answer>
    </>
  );
}
