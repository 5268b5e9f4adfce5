// Two explainers, of one run or of two, side by side: the latents in which they differ most, and one latent on the windows
// that the same judge answered for both.
import { address, useGet } from "../api";
import type { ViewProps } from "../main";
import { Bar } from "../parts/charts";
import { Choice } from "../parts/fields";
import { Answer, Nothing } from "../parts/state";
import { Text, Tokens } from "../parts/tokens";
import { href, latentHref, setQuery } from "../route";
import { num, signed, whole } from "../show";
import type { Compared, Differences, Interval, Judgement, Judgements, Run } from "../types";
import { columnsOf } from "./filters";

const pageSize = 25;

/** Who is compared: a run and an explainer on each side, and by which score. */
interface Sides { a: Run; b: Run; left: string; right: string; score: string }

/** Runs of other tokens have other windows: nothing of theirs can be set beside these. */
const othersOf = (run: Run, runs: Run[]) => runs.filter((r) => r.id !== run.id && r.explainers.length > 0 && r.tokens_hash === run.tokens_hash);

function sidesOf(run: Run, runs: Run[], query: URLSearchParams): Sides | undefined {
  const others = othersOf(run, runs);
  const wanted = query.get("other");
  const b = runs.find((r) => String(r.id) === wanted) ?? (run.explainers.length > 1 ? run : others[0]) ?? run;
  const pick = (of: Run, name: string | null, otherwise: number) => (name !== null && of.explainers.includes(name) ? name : of.explainers[otherwise] ?? of.explainers[0]);
  const left = pick(run, query.get("a"), 0);
  const right = pick(b, query.get("b"), b === run ? 1 : 0);
  const keys = columnsOf(run).map((c) => c.key);
  const score = keys.find((key) => key === query.get("score")) ?? keys[0];
  return left === undefined || right === undefined || score === undefined ? undefined : { a: run, b, left, right, score };
}

export const canCompare = (run: Run, runs: Run[]) => sidesOf(run, runs, new URLSearchParams()) !== undefined &&
  (run.explainers.length > 1 || othersOf(run, runs).length > 0);

const nameOf = (run: Run, explainer: string, both: boolean) => <>{both && <><Text text={run.name} />: </>}<Text text={explainer} /></>;

const Value = ({ score }: { score: Interval }) => (
  <><b>{num(score.value)}</b> {score.low !== null && <small>{num(score.low)}–{num(score.high)}</small>}</>
);

// --- one latent ------------------------------------------------------------------------------------------------------

type Verdicts = { window: Judgement; a: Judgement; b: Judgement };
const rightness = (j: Judgement) => (j.verdict === "failed" ? 1 : j.right ? 2 : 0);

/** Windows that both were judged on, those with different verdicts first. A window is its place in the text and its kind. */
function together(a: Judgement[], b: Judgement[]): Verdicts[] {
  const key = (j: Judgement) => j.window && `${j.kind}/${j.window.context}/${j.window.start}/${j.fires}`;
  const known = new Map(b.map((j) => [key(j), j]));
  const both = a.flatMap((j) => { const other = key(j) && known.get(key(j)); return other ? [{ window: j, a: j, b: other }] : []; });
  const rank = (v: Verdicts) => (rightness(v.a) === rightness(v.b) ? 3 + rightness(v.a) : rightness(v.a) < rightness(v.b) ? 0 : 1);
  return both.sort((x, y) => rank(x) - rank(y));
}

function Verdict({ judgement: j, side }: { judgement: Judgement; side: string }) {
  const state = j.verdict === "failed" ? "failed" : j.right ? "right" : "wrong";
  return <span class={`verdict ${state}`}>{side}: {{ failed: "?", right: "✓", wrong: "✗" }[state]} {state}{j.verdict !== "failed" && `, said ${j.verdict}`}{j.probability !== null && ` (${num(j.probability)})`}</span>;
}

function SameWindows({ sides, hookpoint, latent, scorer, judge }: { sides: Sides; hookpoint: string; latent: string; scorer: string; judge: string }) {
  const ask = (run: Run, explainer: string) => address(["runs", String(run.id), "latents", hookpoint, latent, "judgements"], { explainer, scorer, judge, limit: 500 });
  const a = useGet<Judgements>(ask(sides.a, sides.left));
  const b = useGet<Judgements>(ask(sides.b, sides.right));
  return (
    <Answer asked={a} what="judgements of A">
      {(left) => (
        <Answer asked={b} what="judgements of B">
          {(right) => {
            const both = together(left.judgements, right.judgements);
            const differ = both.filter((v) => rightness(v.a) !== rightness(v.b)).length;
            if (both.length === 0) return <Nothing>No window that can be shown was judged for both.</Nothing>;
            return (
              <>
                <p class="note">{whole(both.length)} windows of {scorer}; {whole(differ)} with different verdicts, which stand first.</p>
                <ol class="windows">{both.slice(0, 40).map((v) => (
                  <li>
                    <p><Verdict judgement={v.a} side="A" /> <Verdict judgement={v.b} side="B" /> <small>truth {v.window.fires ? "fires" : "silent"}{v.window.decile ? ` · decile ${v.window.decile}` : ""}</small></p>
                    <Tokens tokens={v.window.window!.tokens} max={null} label="Window judged for both" />
                  </li>
                ))}</ol>
              </>
            );
          }}
        </Answer>
      )}
    </Answer>
  );
}

function OneLatent({ sides, place }: { sides: Sides; place: string }) {
  const slash = place.lastIndexOf("/");
  const [hookpoint, latent] = [place.slice(0, slash), place.slice(slash + 1)];
  const two = sides.a !== sides.b;
  const asked = useGet<Compared>(address(["runs", String(sides.a.id), "compare"], { hookpoint, latent, a: sides.left, b: sides.right, other: String(sides.b.id) }));
  const column = columnsOf(sides.a).find((c) => c.key === sides.score)!;
  return (
    <section aria-label="One latent">
      <h2><bdi>{hookpoint}</bdi>/{latent}</h2>
      <p class="tools"><a class="button" href={latentHref(String(sides.a.id), hookpoint, Number(latent))}>Its page</a>{two && <> <a class="button" href={latentHref(String(sides.b.id), hookpoint, Number(latent))}>Its page in the other run</a></>}{" "}
        <button type="button" onClick={() => setQuery({ latent: "" })}>Close</button></p>
      <Answer asked={asked} what={`latent ${place}`}>
        {({ a, b, scores }) => (
          <>
            <div class="pair">
              <div><h3>A · {nameOf(sides.a, a.explainer, two)}</h3>{a.text ? <p class="says"><Text text={a.text} /></p> : <Nothing>No explanation.</Nothing>}</div>
              <div><h3>B · {nameOf(sides.b, b.explainer, two)}</h3>{b.text ? <p class="says"><Text text={b.text} /></p> : <Nothing>No explanation.</Nothing>}</div>
            </div>
            {scores.length === 0 ? <Nothing>No judge answered for both.</Nothing> : (
              <div class="scroll" tabIndex={0} role="region" aria-label="Scores of both">
                <table>
                  <thead><tr>{["scorer", "judge", "A", "B", "windows", "both right", "only A", "only B", "both wrong", "p"].map((h) => <th scope="col" title={h === "p" ? "McNemar's exact test" : undefined}>{h}</th>)}</tr></thead>
                  <tbody>{scores.map((s) => (
                    <tr><th scope="row">{s.scorer}</th><td><Text text={s.judge} /></td><td class="n"><Value score={s.a} /></td><td class="n"><Value score={s.b} /></td>
                      {[s.windows, s.both_right, s.only_a, s.only_b, s.both_wrong].map((n) => <td class="n">{whole(n)}</td>)}<td class="n">{num(s.p, 3)}</td></tr>
                  ))}</tbody>
                </table>
              </div>
            )}
            <h3>The same windows</h3>
            <SameWindows sides={sides} hookpoint={hookpoint} latent={latent} scorer={column.scorer} judge={column.judge} />
          </>
        )}
      </Answer>
    </section>
  );
}

// --- many latents ----------------------------------------------------------------------------------------------------

function List({ sides, query }: { sides: Sides; query: URLSearchParams }) {
  const offset = Math.max(0, Number(query.get("offset")) || 0);
  const two = sides.a !== sides.b;
  const asked = useGet<Differences>(address(["runs", String(sides.a.id), "differences"], {
    a: sides.left, b: sides.right, other: String(sides.b.id), score: sides.score, offset, limit: pageSize,
  }));
  const to = (place: string) => {
    const kept = new URLSearchParams(query);
    kept.set("latent", place);
    return href(["run", String(sides.a.id), "compare"], kept);
  };
  return (
    <section aria-label="Latents in which they differ most">
      <h2>Where they differ most</h2>
      <Answer asked={asked} what="the differences">
        {(data) => data.rows.length === 0 ? <Nothing>No latent has this score of both.</Nothing> : (
          <>
            <p>{sides.score} over {whole(data.total)} latents scored for both: A {num(data.mean_a, 3)}, B {num(data.mean_b, 3)} on average.</p>
            <div class="scroll" tabIndex={0} role="region" aria-label="Table of differences">
              <table>
                <thead><tr><th scope="col">Latent</th><th scope="col">A · {nameOf(sides.a, sides.left, two)}</th><th scope="col">B · {nameOf(sides.b, sides.right, two)}</th><th scope="col">B − A</th></tr></thead>
                <tbody>{data.rows.map((row) => {
                  const place = `${row.hookpoint}/${row.latent}`;
                  return (
                    <tr class={query.get("latent") === place ? "at" : undefined}>
                      <th scope="row"><a href={to(place)}><span class="hook"><bdi>{row.hookpoint}</bdi></span>/<b>{row.latent}</b></a></th>
                      {[row.a, row.b].map((side, i) => (
                        <td class="text"><Value score={side} /><Bar score={side} label={`${i ? "B" : "A"}, ${sides.score}`} />{side.text ? <Text text={side.text} /> : <span class="nothing">no text</span>}</td>
                      ))}
                      <td class="n">{signed(row.difference, 3)}</td>
                    </tr>
                  );
                })}</tbody>
              </table>
            </div>
            <nav class="pages" aria-label="Pages of differences">
              <button type="button" disabled={offset === 0} onClick={() => setQuery({ offset: offset > pageSize ? String(offset - pageSize) : "" })}>← before</button>
              <span>{whole(offset + 1)}–{whole(offset + data.rows.length)} of {whole(data.total)}</span>
              <button type="button" disabled={offset + pageSize >= data.total} onClick={() => setQuery({ offset: String(offset + pageSize) })}>after →</button>
            </nav>
          </>
        )}
      </Answer>
    </section>
  );
}

export function CompareView({ run, runs, route }: ViewProps) {
  const { query } = route;
  const sides = sidesOf(run, runs, query);
  if (!sides || !canCompare(run, runs)) return <><h1>Compare</h1><Nothing>There are no two explainers with scores: explain and score with another one, or serve another run of the same tokens beside this one.</Nothing></>;
  const others = [...(run.explainers.length > 1 ? [run] : []), ...othersOf(run, runs)].map((r) => [String(r.id), r.name] as const);
  const set = (changes: Record<string, string>) => setQuery({ offset: "", ...changes }, true);
  const latent = query.get("latent");
  return (
    <>
      <h1>Compare</h1>
      <div class="fields">
        <Choice label="A" value={sides.left} options={run.explainers} change={(a) => set({ a })} />
        {others.length > 1 && <Choice label="Run of B" value={String(sides.b.id)} options={others} change={(other) => set({ other, b: "" })} />}
        <Choice label="B" value={sides.right} options={sides.b.explainers} change={(b) => set({ b })} />
        <Choice label="Score" value={sides.score} options={columnsOf(run).map((c) => c.key)} change={(score) => set({ score })} />
      </div>
      {latent && <OneLatent sides={sides} place={latent} key={latent} />}
      <List sides={sides} query={query} />
    </>
  );
}
