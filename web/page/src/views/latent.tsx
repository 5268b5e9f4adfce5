// One latent, from what explainers say of it to where its numbers come from.
import { useState } from "preact/hooks";
import { address, get, useGet } from "../api";
import { filterParams, kept } from "../filter";
import { useKeys } from "../keys";
import type { ViewProps } from "../main";
import { Histogram } from "../parts/charts";
import { Copy } from "../parts/fields";
import { Answer, Nothing } from "../parts/state";
import { Text } from "../parts/tokens";
import { go, href, latentHref } from "../route";
import { plain, short, signed, whole } from "../show";
import type { Detail, Run, Weight } from "../types";
import { Calls } from "./calls";
import { Explanations } from "./explanations";
import { FigureOf } from "./figures";
import { Judgements } from "./judgements";
import { markdown } from "./markdown";
import { Steering } from "./steering";
import { Windows } from "./windows";

export interface Place { id: string; hookpoint: string; latent: number; query: URLSearchParams }

function Weights({ title, weights }: { title: string; weights: Weight[] | null }) {
  return (
    <div>
      <h3>{title}</h3>
      {!weights || weights.length === 0 ? <Nothing>The run has no weights of this latent.</Nothing> : (
        <ul class="chips">{weights.map((w) => <li><span class="chip"><Text text={w.token} /></span> <small>{signed(w.weight)}</small></li>)}</ul>
      )}
    </div>
  );
}

function Neighbours({ data, place }: { data: Detail; place: Place }) {
  const groups = data.neighbours ?? [];
  if (groups.length === 0) return <Nothing>The run has no neighbours of this latent.</Nothing>;
  return (
    <div class="columns">
      {groups.map((group) => (
        <div>
          <h3>Nearest by {group.measure}</h3>
          {group.latents.length === 0 && <Nothing>none</Nothing>}
          <ol class="near">
            {group.latents.map((near) => (
              <li><a href={latentHref(place.id, place.hookpoint, near.latent, kept(place.query))}>{near.latent}</a> <small>{short(near.value)}</small>{" "}
                {near.explanation ? <span class="few" title={near.explanation}><Text text={near.explanation} /></span> : <span class="nothing">not explained</span>}</li>
            ))}
          </ol>
        </div>
      ))}
    </div>
  );
}

function Numbers({ data }: { data: Detail }) {
  const { activation_histogram: activation, position_histogram: position, top_tokens: tokens } = data;
  return (
    <section aria-label="Numbers">
      <h2>Where it fires</h2>
      <div class="columns">
        {activation ? <Histogram label="Activation" edges={activation.edges} all={activation.counts} /> : <Nothing>No histogram of activations.</Nothing>}
        {position ? <Histogram label="Position in the context" edges={position.edges} all={position.counts} /> : <Nothing>The run has no statistics of positions.</Nothing>}
        <div>
          <h3>Tokens</h3>
          {!tokens || tokens.length === 0 ? <Nothing>The run has no statistics of tokens.</Nothing> : (
            <div class="scroll short" tabIndex={0} role="region" aria-label="Tokens at which it fires">
              <table>
                <thead><tr><th scope="col">token</th><th scope="col">firings</th><th scope="col">of all of it</th></tr></thead>
                <tbody>{tokens.map((t) => (
                  <tr><th scope="row"><span class="chip"><Text text={t.token} /></span></th><td class="n">{whole(t.firings)}</td>
                    <td class="n">{whole(t.of)}{t.of ? <small> ({Math.round((100 * t.firings) / t.of)} %)</small> : ""}</td></tr>
                ))}</tbody>
              </table>
            </div>
          )}
          {data.documents !== null && <p class="note">In {whole(data.documents)} documents{data.different_tokens ? `, at ${whole(data.different_tokens)} different tokens` : ""}.</p>}
        </div>
      </div>
    </section>
  );
}

function Provenance({ data }: { data: Detail }) {
  const { cost } = data;
  return (
    <section aria-label="Provenance">
      <h2>Provenance</h2>
      <dl class="facts">
        {data.provenance.map(([key, value]) => <><dt>{key}</dt><dd><Text text={plain(value)} /></dd></>)}
        {cost && <><dt>cost</dt><dd>{whole(cost.replies)} replies, {whole(cost.prompt_tokens)} tokens asked, {whole(cost.completion_tokens)} answered{cost.dollars !== null && `, $${short(cost.dollars)}`}</dd></>}
      </dl>
    </section>
  );
}

function Head({ data, place, run }: { data: Detail; place: Place; run: Run }) {
  const to = (latent: number) => latentHref(place.id, place.hookpoint, latent, place.query);
  return (
    <div class="head">
      <p>fires {whole(data.firings)} times · density {short(data.density)} · max {short(data.max)} · of {whole(data.of)} latents
        {data.kinds.filter((kind) => kind.value !== false && kind.value !== null).map((kind) => (
          <span class="tag" title={`${kind.rule}${kind.value === true ? "" : ` (${plain(kind.value)})`}`}>{kind.name}</span>
        ))}
      </p>
      <p class="tools">
        {data.previous !== null && <a class="button" href={to(data.previous)}>← {data.previous} <kbd>k</kbd></a>}
        {data.next !== null && <a class="button" href={to(data.next)}>{data.next} → <kbd>j</kbd></a>}
        <a class="button" href={href(["run", place.id], kept(place.query))}>List <kbd>o</kbd></a>
        <a class="button" href={href(["run", place.id, "quiz", place.hookpoint, place.latent])}>Quiz</a>
        {data.explanations.length > 1 && <a class="button" href={href(["run", place.id, "compare"], { latent: `${place.hookpoint}/${place.latent}` })}>Compare</a>}
        <Copy label="Copy as Markdown" text={() => markdown(run, data)} />
        <Copy label="JSON" text={() => JSON.stringify(data, null, 2)} />
        <Copy label="Link" text={() => location.href} />
      </p>
    </div>
  );
}

/** The figure of this latent's judgements, drawn when it is opened. */
function Outcomes({ place, data }: { place: Place; data: Detail }) {
  const [open, setOpen] = useState(false);
  const both = data.explanations.some(({ scores }) => ["detection", "fuzz"].every((name) => scores.some((s) => s.scorer === name && s.value !== null)));
  if (!both) return null;
  return (
    <details onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>Judgements as a figure</summary>
      {open && <FigureOf id={place.id} name="outcomes" latent={`${place.hookpoint}/${place.latent}`} />}
    </details>
  );
}

export function LatentView({ run, route, session, hookpoint, latent }: ViewProps & { hookpoint: string; latent: number }) {
  const id = String(run.id);
  const place: Place = { id, hookpoint, latent, query: route.query };
  const detail = useGet<Detail>(address(["runs", id, "latents", hookpoint, latent]));
  const step = (to: number | null | undefined) => { if (typeof to === "number") go(latentHref(id, hookpoint, to, route.query)); };
  useKeys({
    j: () => step(detail.data?.next),
    k: () => step(detail.data?.previous),
    o: () => go(href(["run", id], kept(route.query))),
    "/": () => go(href(["run", id], kept(route.query))),
    r: () => {
      get<{ hookpoint: string; latent: number }>(address(["runs", id, "random"], filterParams(route.query))).then(
        (found) => go(latentHref(id, found.hookpoint, found.latent, route.query)), () => undefined);
    },
  });
  return (
    <>
      <h1><span class="hook"><bdi>{hookpoint}</bdi></span>/{latent}</h1>
      <Answer asked={detail} what={`latent ${hookpoint}/${latent}`}>
        {(data) => (
          <article class="latent">
            <Head data={data} place={place} run={run} />
            <Explanations data={data} place={place} run={run} />
            <Windows place={place} />
            <Numbers data={data} />
            <section aria-label="What it writes">
              <h2>What it writes</h2>
              <div class="columns"><Weights title="Promoted tokens" weights={data.promoted} /><Weights title="Suppressed tokens" weights={data.suppressed} />
                {data.logit_histogram && <Histogram label="Logit weights" edges={data.logit_histogram.edges} all={data.logit_histogram.counts} />}</div>
              <Neighbours data={data} place={place} />
            </section>
            <Judgements place={place} data={data} />
            <Outcomes place={place} data={data} />
            {session.can.steer && <Steering id={id} hookpoint={hookpoint} latent={latent} max={data.max} />}
            <Calls place={place} />
            <Provenance data={data} />
          </article>
        )}
      </Answer>
    </>
  );
}
