// All latents of a run: filtered, sorted and paged by the server.
import { useEffect, useRef, useState } from "preact/hooks";
import { address, get, useGet } from "../api";
import { filterParams, kept, likeOf, order, rangeFields } from "../filter";
import { useKeys } from "../keys";
import type { ViewProps } from "../main";
import { Bar } from "../parts/charts";
import { RangeHistogram } from "../parts/range";
import { Answer, Nothing } from "../parts/state";
import { Text } from "../parts/tokens";
import { go, href, latentHref, setQuery } from "../route";
import { num, plain, short, signed, whole } from "../show";
import type { Histogram as HistogramData, Histograms, Latent, Rows, RowScore, Run } from "../types";
import { columnsOf, Filters } from "./filters";

const pageSize = 50;

function ScoreCell({ score, label }: { score?: RowScore; label: string }) {
  if (!score || score.value === null) return <td class="score"><span class="nothing">{score?.failed ? "failed" : "–"}</span></td>;
  return (
    <td class="score">
      <b>{num(score.value)}</b> {score.low !== null && <small>{num(score.low)}–{num(score.high)}</small>}
      <Bar score={score} shuffled={score.shuffled} chance={score.chance} label={label} />
      <small>n {whole(score.n)}{score.failed > 0 && <span class="bad"> · {score.failed} failed</span>}</small>
    </td>
  );
}

function Row({ run, row, columns, at, query, like }: { run: Run; row: Latent; columns: string[]; at: boolean; query: URLSearchParams; like: boolean }) {
  const to = latentHref(String(run.id), row.hookpoint, row.latent, query);
  return (
    <tr class={at ? "at" : undefined} data-at={at ? "" : undefined}>
      <th scope="row"><a href={to}><span class="hook">{row.hookpoint}</span>/<b>{row.latent}</b></a></th>
      <td class="text">
        {row.explanation ? <a class="plain" href={to}><Text text={row.explanation} /></a> : <span class="nothing">not explained</span>}
        {row.kinds.map((kind) => <span class="tag">{kind}</span>)}
      </td>
      {like && <td class="n">{num(row.similarity)}</td>}
      <td class="n">{short(row.density)}</td>
      <td class="n">{short(row.max)}</td>
      {columns.map((key) => {
        const score = row.scores[key];
        return (
          <>
            <ScoreCell score={score} label={key} />
            <td class="n">{score && score.excess !== null && score.excess !== undefined ? signed(score.excess, 3) : <span class="nothing">–</span>}</td>
          </>
        );
      })}
    </tr>
  );
}

/** A heading that sorts. */
function Heading({ sort, label, query, title }: { sort: string; label: string; query: URLSearchParams; title?: string }) {
  const now = order(query);
  const current = now.sort === sort;
  const down = now.down;
  const press = () => setQuery({ sort, desc: current ? (down ? "" : "1") : sort === "latent" || sort === "explanation" ? "" : "1", offset: "" });
  return (
    <th scope="col" aria-sort={current ? (down ? "descending" : "ascending") : undefined} title={title}>
      <button type="button" onClick={press}>{label}<span aria-hidden="true">{current ? (down ? " ↓" : " ↑") : ""}</span></button>
    </th>
  );
}

/** A histogram whose range is a part of the filter. The address has one score's range: that of the score it names. */
function Ranged({ data, query }: { data: HistogramData; query: URLSearchParams }) {
  const fields = rangeFields(data.name);
  const own = fields.score === "" || query.get("score") === fields.score;
  const change = (low: string, high: string) =>
    setQuery({ [fields.low]: low, [fields.high]: high, offset: "", ...(fields.score && { score: low || high ? fields.score : "" }) });
  return <RangeHistogram data={data} low={(own && query.get(fields.low)) || ""} high={(own && query.get(fields.high)) || ""} change={change} />;
}

function Facts({ run }: { run: Run }) {
  return (
    <details class="facts">
      <summary>
        <b>{run.name}</b>: {whole(run.latents)} latents of {run.hookpoints.length} hookpoint{run.hookpoints.length === 1 ? "" : "s"}
      </summary>
      <dl>{run.facts.map(([key, value]) => <><dt>{key}</dt><dd><Text text={plain(value)} /></dd></>)}
        {run.hookpoints.map((h) => <><dt>{h.name}</dt><dd>{whole(h.alive)} of {whole(h.latents)} latents fire in {whole(h.tokens)} tokens</dd></>)}
      </dl>
    </details>
  );
}

/** Where the table would be far below the filter. */
const narrow = () => matchMedia("(max-width: 40rem)").matches;

export function Overview({ run, route }: ViewProps) {
  const { query } = route;
  const id = String(run.id);
  const filter = filterParams(query);
  const like = likeOf(query);
  const { sort, down } = order(query);
  const offset = Math.max(0, Number(query.get("offset")) || 0);
  const rows = useGet<Rows>(address(["runs", id, "latents"], {
    ...filter, sort, desc: down, offset, limit: pageSize,
  }));
  const histograms = useGet<Histograms>(address(["runs", id, "histograms"], filter));
  const [at, setAt] = useState(-1);
  const [said, setSaid] = useState("");
  const table = useRef<HTMLTableElement>(null);
  const list = rows.data?.rows ?? [];
  const columns = columnsOf(run);
  const keys = columns.map((c) => c.key);
  const keep = kept(query);

  useEffect(() => setAt(-1), [rows.data]);
  useEffect(() => {
    const row = table.current?.querySelector<HTMLElement>("tr[data-at]");
    row?.scrollIntoView({ block: "nearest" });
    row?.querySelector<HTMLElement>("a")?.focus({ preventScroll: true });
  }, [at]);
  const random = () =>
    get<{ hookpoint: string; latent: number }>(address(["runs", id, "random"], filter)).then(
      (found) => go(latentHref(id, found.hookpoint, found.latent, keep)),
      (fault) => setSaid(String(fault.message)),
    );
  useKeys({
    j: () => setAt(Math.min(at + 1, list.length - 1)),
    k: () => setAt(Math.max(at - 1, 0)),
    "/": () => {
      const field = document.getElementById("filter");
      field?.closest("details")?.setAttribute("open", "");
      field?.focus();
    },
    r: random,
  });
  const page = (to: number) => setQuery({ offset: to > 0 ? String(to) : "" });

  return (
    <>
      <h1 class="unseen">Latents of {run.name}</h1>
      <Facts run={run} />
      <details class="choose" open={!narrow()}>
        <summary>Filter and histograms{Object.values(filter).some(Boolean) && <b> · filtered</b>}</summary>
        <Filters run={run} query={query} />
        <Answer asked={histograms} what="the histograms">
          {(data) => (
            <section class="histograms" aria-label="Histograms: all in the back, the chosen ones in front; a range chosen on one filters">
              {data.histograms.map((h) => <Ranged data={h} query={query} key={h.name} />)}
            </section>
          )}
        </Answer>
      </details>
      <div class="above">
        <p role="status">{rows.data && `${whole(rows.data.total)} of ${whole(run.latents)} latents`}{rows.data && like !== "" && ", those whose explanation is embedded"} {said}</p>
        <button type="button" onClick={random}>Random latent <kbd>r</kbd></button>
      </div>
      <Answer asked={rows} what="the latents">
        {(data) => data.rows.length === 0 ? <Nothing>No latent meets this filter.</Nothing> : (
          <>
            <div class="scroll" tabIndex={0} role="region" aria-label="Table of latents">
              <table class="latents" ref={table}>
                <thead>
                  <tr>
                    <Heading sort="latent" label="Latent" query={query} />
                    <Heading sort="explanation" label="Explanation" query={query} />
                    {like !== "" && <Heading sort="similarity" label="Nearness" query={query} title={`Cosine of the explanation and “${like}”${run.meaning ? `, by ${run.meaning.embedder}` : ""}`} />}
                    <Heading sort="density" label="Density" query={query} title="Share of tokens at which it fires" />
                    <Heading sort="max" label="Max" query={query} title="Strongest activation" />
                    {columns.map((c) => (
                      <>
                        <Heading sort={c.key} label={c.key} query={query} title={[c.judge, c.measure].filter(Boolean).join(", ")} />
                        <Heading sort={`${c.key}.excess`} label="excess" query={query} title={`${c.key} over the score of shuffled explanations`} />
                      </>
                    ))}
                  </tr>
                </thead>
                <tbody>{data.rows.map((row, i) => <Row run={run} row={row} columns={keys} at={i === at} query={keep} like={like !== ""} key={`${row.hookpoint}/${row.latent}`} />)}</tbody>
              </table>
            </div>
            <nav class="pages" aria-label="Pages of the table">
              <button type="button" disabled={offset === 0} onClick={() => page(offset - pageSize)}>← before</button>
              <span>{whole(offset + 1)}–{whole(offset + data.rows.length)} of {whole(data.total)}</span>
              <button type="button" disabled={offset + pageSize >= data.total} onClick={() => page(offset + pageSize)}>after →</button>
            </nav>
          </>
        )}
      </Answer>
      <p class="note">Bars: the score with its 95 % interval; the solid tick is the score of shuffled explanations, the dotted one chance. <a href={href(["run", id, "figures"], keep)}>Figures of {Object.values(filter).some(Boolean) ? "these latents" : "the run"}</a></p>
    </>
  );
}
