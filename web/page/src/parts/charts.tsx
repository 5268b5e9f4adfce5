// Small drawings in SVG: an interval, a histogram, a curve by decile. Each says in words what it shows.
import { num, short, whole } from "../show";
import type { Decile, Interval, Num } from "../types";

/** A value from 0 to 1 with its interval; a tick for the shuffled baseline, a dashed one for chance. */
export function Bar({ score, shuffled, chance, label }: { score: Interval; shuffled?: Num; chance?: Num; label: string }) {
  if (score.value === null) return <span class="nothing">–</span>;
  const x = (v: number) => 100 * Math.max(0, Math.min(1, v));
  const words = `${label} ${num(score.value)}` + (score.low === null ? "" : ` from ${num(score.low)} to ${num(score.high)}`) +
    (shuffled === null || shuffled === undefined ? "" : `, shuffled ${num(shuffled)}`);
  return (
    <svg class="bar" viewBox="0 0 100 12" preserveAspectRatio="none" role="img" aria-label={words}>
      <title>{words}</title>
      <rect class="track" x="0" y="4" width="100" height="4" />
      <rect class="value" x="0" y="4" width={x(score.value)} height="4" />
      {score.low !== null && score.high !== null && <path class="whisker" d={`M${x(score.low)} 1V11M${x(score.low)} 6H${x(score.high)}M${x(score.high)} 1V11`} />}
      {chance !== null && chance !== undefined && <path class="chance" d={`M${x(chance)} 0V12`} />}
      {shuffled !== null && shuffled !== undefined && <path class="shuffled" d={`M${x(shuffled)} 0V12`} />}
    </svg>
  );
}

interface Bars { edges: number[]; all: number[]; chosen?: number[]; log?: boolean; label: string; range?: [number, number] }

/** All in the back, the chosen ones in front, each group to its own highest bar; `range`: the shares of the width that are picked. */
export function Histogram({ edges, all, chosen, log, label, range }: Bars) {
  const n = all.length;
  if (n === 0 || edges.length < 2) return <p class="nothing">{label}: nothing to count</p>;
  const real = (edge: number) => short(log ? 10 ** edge : edge);
  const tall = (counts: number[]) => Math.max(1, ...counts);
  const rects = (counts: number[], name: string) =>
    counts.map((count, i) => (
      <rect class={name} x={(100 * i) / n + 0.2} width={Math.max(0.3, 100 / n - 0.4)} y={40 - (40 * count) / tall(counts)} height={(40 * count) / tall(counts)}>
        <title>{`${real(edges[i]!)} to ${real(edges[i + 1]!)}: ${whole(all[i])}${chosen ? `, chosen ${whole(chosen[i])}` : ""}`}</title>
      </rect>
    ));
  return (
    <figure class="histogram">
      <figcaption>{label}</figcaption>
      <svg viewBox="0 0 100 40" preserveAspectRatio="none" role="img" aria-label={`Histogram of ${label} from ${real(edges[0]!)} to ${real(edges[n]!)}`}>
        {rects(all, "all")}
        {chosen && rects(chosen, "chosen")}
        {range && <rect class="picked" x={100 * range[0]} width={100 * (range[1] - range[0])} y="0" height="40" />}
      </svg>
      <p class="ends"><span>{real(edges[0]!)}</span><span>{real(edges[n]!)}</span></p>
    </figure>
  );
}

/** A score by decile of activation, with intervals. Decile 10 holds the strongest windows. */
export function Curve({ deciles, label }: { deciles: Decile[]; label: string }) {
  const known = deciles.filter((d) => d.value !== null);
  if (known.length === 0) return null;
  const x = (d: number) => 12 + (d - 0.5) * 20;
  const y = (v: number) => 6 + 60 * (1 - Math.max(0, Math.min(1, v)));
  const line = known.map((d, i) => `${i && known[i - 1]!.decile === d.decile - 1 ? "L" : "M"}${x(d.decile)} ${y(d.value!)}`).join("");
  const words = `${label} by decile: ` + known.map((d) => `${d.decile}: ${num(d.value)}`).join(", ");
  return (
    <svg class="curve" viewBox="0 0 216 84" role="img" aria-label={words}>
      <title>{words}</title>
      {[0, 0.5, 1].map((v) => <path class="grid" d={`M12 ${y(v)}H212`} />)}
      {[0, 1].map((v) => <text x="8" y={y(v) + 3} text-anchor="end">{v}</text>)}
      {known.map((d) => d.low !== null && d.high !== null && <path class="whisker" d={`M${x(d.decile)} ${y(d.low)}V${y(d.high)}`} />)}
      <path class="line" d={line} />
      {known.map((d) => <circle cx={x(d.decile)} cy={y(d.value!)} r="2.6"><title>{`decile ${d.decile}: ${num(d.value)} (${num(d.low)} to ${num(d.high)})`}</title></circle>)}
      {known.map((d) => <text x={x(d.decile)} y="80" text-anchor="middle">{d.decile}</text>)}
    </svg>
  );
}
