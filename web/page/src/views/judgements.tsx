// The windows that judges saw: wrong verdicts first, then failed ones.
import { useState } from "preact/hooks";
import { address, useGet } from "../api";
import { Choice } from "../parts/fields";
import { Answer, Nothing } from "../parts/state";
import { Text, Tokens } from "../parts/tokens";
import { setQuery } from "../route";
import { num, whole } from "../show";
import type { Detail, Judgement, Judgements as Answered } from "../types";
import { CallOf } from "./calls";
import type { Place } from "./latent";

const pageSize = 20;
const unique = (names: string[]) => [...new Set(names)];

function One({ judgement: j, max, place }: { judgement: Judgement; max: number | null; place: Place }) {
  const state = j.verdict === "failed" ? "failed" : j.right ? "right" : "wrong";
  const sign = { failed: "?", right: "✓", wrong: "✗" }[state];
  return (
    <li class={`judged ${state}`}>
      <p><b>{sign} {state}</b> · said {j.verdict}{j.probability !== null && ` (p(fires) ${num(j.probability)})`} · truth {j.fires === null ? "unknown" : j.fires ? "fires" : "silent"}
        {" "}<small>{[j.kind, j.decile ? `decile ${j.decile}` : "", j.scorer, j.judge, j.explainer].filter(Boolean).join(" · ")}</small></p>
      {j.reason && <p class="note"><Text text={j.reason} /></p>}
      {j.window ? <Tokens tokens={j.window.tokens} max={max} label={`Judged window, ${state}`} /> : <Nothing>The window cannot be shown again.</Nothing>}
      {j.call && <CallOf place={place} hash={j.call} />}
    </li>
  );
}

export function Judgements({ place, data }: { place: Place; data: Detail }) {
  const { query } = place;
  const [offset, setOffset] = useState(0);
  const scores = data.explanations.flatMap((e) => e.scores);
  const choice = (key: string) => query.get(`j-${key}`) ?? "";
  const asked = useGet<Answered>(scores.length === 0 ? null : address(
    ["runs", place.id, "latents", place.hookpoint, place.latent, "judgements"],
    { explainer: choice("explainer"), scorer: choice("scorer"), judge: choice("judge"), offset, limit: pageSize },
  ));
  const pick = (key: string, label: string, names: string[]) => (
    <Choice label={label} value={choice(key)} options={[["", "all"], ...names]} change={(v) => { setOffset(0); setQuery({ [`j-${key}`]: v }, true); }} />
  );
  return (
    <section aria-label="Judgements">
      <h2>What judges saw</h2>
      {scores.length === 0 ? <Nothing>Nobody has judged an explanation of this latent.</Nothing> : (
        <>
          <div class="fields">
            {pick("explainer", "Explainer", data.explanations.map((e) => e.explainer))}
            {pick("scorer", "Scorer", unique(scores.map((s) => s.scorer)))}
            {pick("judge", "Judge", unique(scores.map((s) => s.judge)))}
          </div>
          <Answer asked={asked} what="judgements">
            {({ total, judgements }) => total === 0 ? <Nothing>No judgement is kept.</Nothing> : (
              <>
                <ol class="windows">{judgements.map((j, i) => <One judgement={j} max={data.max} place={place} key={`${offset}/${i}`} />)}</ol>
                <nav class="pages" aria-label="Pages of judgements">
                  <button type="button" disabled={offset === 0} onClick={() => setOffset(Math.max(0, offset - pageSize))}>← before</button>
                  <span>{whole(offset + 1)}–{whole(offset + judgements.length)} of {whole(total)}</span>
                  <button type="button" disabled={offset + pageSize >= total} onClick={() => setOffset(offset + pageSize)}>after →</button>
                </nav>
              </>
            )}
          </Answer>
        </>
      )}
    </section>
  );
}
