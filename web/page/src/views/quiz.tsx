// Your own judgement: say what a latent means before you see what others say, then judge windows blind, as judges do.
import { useState } from "preact/hooks";
import { address, Fault, get, post, useGet } from "../api";
import type { ViewProps } from "../main";
import { Bar } from "../parts/charts";
import { Choice } from "../parts/fields";
import { Answer, Failure, Nothing } from "../parts/state";
import { Text, Tokens } from "../parts/tokens";
import { go, href, latentHref, setQuery } from "../route";
import { num, whole } from "../show";
import type { Agreement, Quiz, QuizResult, Token, Windows } from "../types";

const asFault = (error: unknown) => (error instanceof Fault ? error : new Fault(String(error)));
const name = () => localStorage.getItem("gloss-person") ?? "";

interface Place { id: string; hookpoint: string; latent: number }

function Person({ person, change }: { person: string; change: (name: string) => void }) {
  return (
    <label><span>Your name</span>
      <input value={person} autocomplete="nickname" onInput={(e) => { localStorage.setItem("gloss-person", e.currentTarget.value); change(e.currentTarget.value); }} /></label>
  );
}

/** Random windows that fire, and a field for what they have in common. */
function Write({ place, person, done }: { place: Place; person: string; done: (explainer: string) => void }) {
  const asked = useGet<Windows>(address(["runs", place.id, "latents", place.hookpoint, place.latent, "windows"], { choose: "decile", limit: 12 }));
  const [text, setText] = useState("");
  const [fault, setFault] = useState<Fault>();
  const send = () => post<{ explainer: string }>(address(["runs", place.id, "explanations", place.hookpoint, place.latent]), { person, text }).then(
    ({ explainer }) => done(explainer), (error) => setFault(asFault(error)));
  return (
    <section aria-label="Your explanation">
      <h2>What does it mean?</h2>
      <Answer asked={asked} what="windows">
        {(data) => data.windows.length === 0 ? <Nothing>It never fires.</Nothing> : <ol class="windows">{data.windows.map((w) => <li><Tokens tokens={w.tokens} max={data.max} peak={w.peak} /></li>)}</ol>}
      </Answer>
      <form onSubmit={(e) => { e.preventDefault(); send(); }}>
        <label class="block"><span>Your explanation, before you see those of others</span>
          <textarea rows={2} value={text} onInput={(e) => setText(e.currentTarget.value)} /></label>
        <button type="submit" disabled={text.trim() === "" || person.trim() === ""}>Keep it</button>
        {person.trim() === "" && <small> It is kept under your name: give one above.</small>}
      </form>
      {fault && <Failure fault={fault} again={send} />}
    </section>
  );
}

type Said = boolean | null;

function Question({ tokens, index, said, say, truth }: { tokens: Token[]; index: number; said: Said; say: (said: Said) => void; truth?: boolean | null }) {
  const group = `answer-${index}`;
  return (
    <li class={truth === undefined || said === null ? "judged" : `judged ${said === truth ? "right" : "wrong"}`}>
      <Tokens tokens={tokens} max={null} label={`Question ${index + 1}`} />
      {truth === undefined ? (
        <fieldset>
          <legend>Question {index + 1}</legend>
          {([[true, "yes"], [false, "no"], [null, "skip"]] as const).map(([value, label]) => (
            <label class="check"><input type="radio" name={group} checked={said === value} onChange={() => say(value)} /> {label}</label>
          ))}
        </fieldset>
      ) : (
        <p><b>{said === null ? "skipped" : said === truth ? "✓ right" : "✗ wrong"}</b> · you said {said === null ? "nothing" : said ? "yes" : "no"} · truth {truth === null ? "unknown" : truth ? "yes" : "no"}</p>
      )}
    </li>
  );
}

function Questions({ place, quiz, scorer, explainer, person, again }: { place: Place; quiz: Quiz; scorer: string; explainer: string; person: string; again: () => void }) {
  const [said, setSaid] = useState<Said[]>(() => quiz.windows.map(() => null));
  const [result, setResult] = useState<QuizResult>();
  const [fault, setFault] = useState<Fault>();
  const send = () => post<QuizResult>(address(["runs", place.id, "quiz", place.hookpoint, place.latent]), { person, scorer, explainer, id: quiz.id, answers: said }).then(
    (data) => { setFault(undefined); setResult(data); }, (error) => setFault(asFault(error)));
  const answered = said.filter((s) => s !== null).length;
  return (
    <>
      {quiz.explanation && <p class="says"><Text text={quiz.explanation} /></p>}
      <p>{scorer === "fuzz" ? "Are the marked tokens (dashed frame) those the explanation means?" : "Does the latent fire anywhere in the text?"}</p>
      <div role="status">
        {result && (
          <>
            <p><b class="big">{result.right} of {result.answered} right</b> · {num(result.score.value)} ({num(result.score.low)}–{num(result.score.high)}) · kept as {result.judge}</p>
            <Bar score={result.score} chance={0.5} label="your score" />
          </>
        )}
      </div>
      <ol class="windows">
        {quiz.windows.map((w, i) => (
          <Question tokens={w.tokens} index={i} said={said[i] ?? null} say={(s) => setSaid(said.map((old, k) => (k === i ? s : old)))} truth={result?.truth[i]} />
        ))}
      </ol>
      {fault && <Failure fault={fault} again={send} />}
      {result ? (
        <p><a class="button" href={latentHref(place.id, place.hookpoint, place.latent)}>See the latent</a> <button type="button" onClick={again}>Other questions</button></p>
      ) : (
        <p><button type="button" disabled={answered === 0 || person.trim() === ""} onClick={send}>Answer {answered} of {said.length}</button></p>
      )}
    </>
  );
}

function Judge({ place, query, explainers, person }: { place: Place; query: URLSearchParams; explainers: string[]; person: string }) {
  const scorer = query.get("scorer") ?? "detection";
  const explainer = query.get("explainer") ?? explainers[0] ?? "";
  const seed = query.get("seed") ?? "1";
  const asked = useGet<Quiz>(address(["runs", place.id, "quiz", place.hookpoint, place.latent], { scorer, explainer, count: 20, seed }));
  const options = explainers.includes(explainer) || explainer === "" ? explainers : [...explainers, explainer];
  return (
    <section aria-label="Questions">
      <h2>Judge windows</h2>
      <div class="fields">
        <Choice label="Questions" value={scorer} options={[["detection", "detection: does it fire?"], ["fuzz", "fuzz: are the marks right?"]]} change={(v) => setQuery({ scorer: v }, true)} />
        <Choice label="Explanation by" value={explainer} options={options} change={(v) => setQuery({ explainer: v }, true)} />
      </div>
      <Answer asked={asked} what="questions">
        {(quiz) => quiz.windows.length === 0 ? <Nothing>There is nothing to ask about this latent.</Nothing> : (
          <Questions place={place} quiz={quiz} scorer={scorer} explainer={explainer} person={person} key={quiz.id}
                     again={() => setQuery({ seed: String(Number(seed) + 1) }, true)} />
        )}
      </Answer>
    </section>
  );
}

function Agreements({ id }: { id: string }) {
  const asked = useGet<Agreement[]>(address(["runs", id, "agreement"]));
  return (
    <section aria-label="Agreement">
      <h2>Agreement of people and judges</h2>
      <Answer asked={asked} what="agreement">
        {(all) => all.length === 0 ? <Nothing>No windows yet that a person and another judge both judged.</Nothing> : (
          <div class="scroll" tabIndex={0} role="region" aria-label="Table of agreement">
            <table>
              <thead><tr>{["person", "judge", "scorer", "explainer", "windows", "agree", "kappa"].map((h) => <th scope="col">{h}</th>)}</tr></thead>
              <tbody>{all.map((a) => (
                <tr><th scope="row"><Text text={a.person} /></th><td><Text text={a.judge} /></td><td>{a.scorer}</td><td><Text text={a.explainer} /></td>
                  <td class="n">{whole(a.n)}</td><td class="n">{num(a.agree)}</td><td class="n">{num(a.kappa)} ({num(a.low)}–{num(a.high)})</td></tr>
              ))}</tbody>
            </table>
          </div>
        )}
      </Answer>
    </section>
  );
}

export function QuizView({ run, route, session, hookpoint, latent }: ViewProps & { hookpoint: string; latent: number }) {
  const id = String(run.id);
  const [person, setPerson] = useState(name());
  const [fault, setFault] = useState<Fault>();
  const [written, setWritten] = useState<string>();
  const place = { id, hookpoint, latent };
  const another = () => get<{ hookpoint: string; latent: number }>(address(["runs", id, "random"])).then(
    (found) => { setFault(undefined); setWritten(undefined); go(href(["run", id, "quiz", found.hookpoint, found.latent])); }, (error) => setFault(asFault(error)));
  const judging = route.query.get("step") === "judge";
  return (
    <>
      <h1>Quiz{hookpoint && <>: <bdi>{hookpoint}</bdi>/{latent}</>}</h1>
      {session.read_only && <Nothing>The server is read only: what you say here cannot be kept.</Nothing>}
      <div class="fields"><Person person={person} change={setPerson} /><button type="button" onClick={another}>A random latent</button></div>
      {fault && <Failure fault={fault} again={another} />}
      {hookpoint ? (
        <>
          <p class="tools">
            <button type="button" aria-pressed={!judging} onClick={() => setQuery({ step: "" }, true)}>1 Explain</button>{" "}
            <button type="button" aria-pressed={judging} onClick={() => setQuery({ step: "judge" }, true)}>2 Judge</button>
          </p>
          <p role="status">{written && `Kept as ${written}.`}</p>
          {judging ? <Judge place={place} query={route.query} explainers={run.explainers} person={person} key={`${hookpoint}/${latent}`} />
            : <Write place={place} person={person} key={`${hookpoint}/${latent}`} done={(explainer) => { setWritten(explainer); setQuery({ step: "judge", explainer }, true); }} />}
        </>
      ) : <p>First say what a latent means, from the windows where it fires. Then judge windows without knowing the truth, as a language model does. Both are kept under your name and scored like any other.</p>}
      <Agreements id={id} />
    </>
  );
}
