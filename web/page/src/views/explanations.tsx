// What each explainer says, how right that is, and what a shuffled explanation scores.
import { Bar, Curve } from "../parts/charts";
import { Choice } from "../parts/fields";
import { Nothing } from "../parts/state";
import { Text } from "../parts/tokens";
import { href, setQuery } from "../route";
import { none, num, signed, whole } from "../show";
import type { Detail, Explanation, Run, Score } from "../types";
import { CallOf } from "./calls";
import type { Place } from "./latent";

function ScoreBlock({ score }: { score: Score }) {
  const label = `${score.scorer} by ${score.judge}`;
  const excess = score.value !== null && score.shuffled && score.shuffled.value !== null ? score.value - score.shuffled.value : null;
  const counts = score.counts ? Object.entries(score.counts).filter(([, n]) => n !== null) : [];
  return (
    <div class="scoreblock">
      <h4>{score.scorer} <small>{score.judge}</small></h4>
      {score.value === null ? <Nothing>No score{score.failed > 0 ? `: all ${score.failed} judgements failed` : ""}.</Nothing> : (
        <>
          <p><b class="big">{num(score.value)}</b> {score.low !== null && <span>{num(score.low)}–{num(score.high)}</span>} <small>{score.measure}, n {whole(score.n)}</small></p>
          <Bar score={score} shuffled={score.shuffled?.value} chance={score.chance} label={label} />
        </>
      )}
      <dl class="facts">
        <dt>shuffled</dt><dd>{score.shuffled ? num(score.shuffled.value) + (score.shuffled.low === null ? "" : ` (${num(score.shuffled.low)}–${num(score.shuffled.high)})`) : none}</dd>
        <dt>excess</dt><dd>{excess === null ? none : signed(excess, 3)}</dd>
        {score.chance !== null && <><dt>chance</dt><dd>{num(score.chance)}</dd></>}
        {score.failed > 0 && <><dt class="bad">failed</dt><dd class="bad">{whole(score.failed)} judgements without a verdict</dd></>}
        {counts.length > 0 && <><dt>counts</dt><dd>{counts.map(([key, n]) => `${key} ${whole(n)}`).join(", ")}</dd></>}
      </dl>
      {score.per_decile.length > 0 && <Curve deciles={score.per_decile} label={label} />}
    </div>
  );
}

/** The list of latents whose explanations are near this one in meaning. */
function Alike({ explanation, place, run }: { explanation: Explanation; place: Place; run: Run }) {
  if (!run.meaning || !explanation.text) return null;
  return <p class="note"><a href={href(["run", place.id], { like: explanation.text, explainer: explanation.explainer })}>Latents explained alike</a></p>;
}

function One({ explanation, place, run }: { explanation: Explanation; place: Place; run: Run }) {
  return (
    <div class="explanation">
      <h3><Text text={explanation.explainer} /></h3>
      {explanation.failed ? <p class="bad"><strong>Failed:</strong> <Text text={explanation.failed} /></p>
        : explanation.text ? <p class="says"><Text text={explanation.text} /></p> : <Nothing>An empty explanation.</Nothing>}
      <Alike explanation={explanation} place={place} run={run} />
      {explanation.call && <CallOf place={place} hash={explanation.call} />}
      <div class="scores">
        {explanation.scores.map((score) => <ScoreBlock score={score} />)}
        {explanation.scores.length === 0 && <Nothing>Not scored.</Nothing>}
      </div>
    </div>
  );
}

/** Two explainers side by side, which ones the address says. */
function Beside({ all, place, run }: { all: Explanation[]; place: Place; run: Run }) {
  const { query } = place;
  const names = all.map((e) => e.explainer);
  const pick = (key: string, otherwise: number) => all.find((e) => e.explainer === query.get(key)) ?? all[otherwise]!;
  const pair = [pick("left", 0), pick("right", 1)];
  return (
    <div class="pair">
      {pair.map((explanation, i) => (
        <div>
          <Choice label={i ? "Right" : "Left"} value={explanation.explainer} options={names} change={(name) => setQuery({ [i ? "right" : "left"]: name }, true)} />
          <One explanation={explanation} place={place} run={run} />
        </div>
      ))}
    </div>
  );
}

export function Explanations({ data, place, run }: { data: Detail; place: Place; run: Run }) {
  const { query } = place;
  const all = data.explanations;
  const beside = query.get("beside") === "1" && all.length > 1;
  return (
    <section aria-label="Explanations">
      <h2>Explanations</h2>
      {all.length > 1 && (
        <label class="check"><input type="checkbox" checked={beside} onChange={() => setQuery({ beside: beside ? "" : "1" }, true)} /> two side by side</label>
      )}
      {all.length === 0 && <Nothing>Nobody has explained this latent.</Nothing>}
      {beside ? <Beside all={all} place={place} run={run} /> : all.map((explanation) => <One explanation={explanation} place={place} run={run} key={explanation.explainer} />)}
    </section>
  );
}
