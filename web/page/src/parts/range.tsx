// A histogram on which a range is chosen: by dragging over it, or by the two sliders below it.
import { useRef, useState } from "preact/hooks";
import { short } from "../show";
import type { Histogram as Data } from "../types";
import { Histogram } from "./charts";

interface Props {
  data: Data;
  low: string; // as the address has them; "" = no end
  high: string;
  change: (low: string, high: string) => void;
}

/** Where a value lies, counted in bins from the left. */
function placeOf(value: number, { edges, log }: Data): number {
  const edge = log ? Math.log10(value) : value;
  const last = edges.length - 1;
  if (!(edge > edges[0]!)) return 0;
  for (let i = 0; i < last; i++) {
    if (edge <= edges[i + 1]!) return i + (edge - edges[i]!) / (edges[i + 1]! - edges[i]!);
  }
  return last;
}

export function RangeHistogram({ data, low, high, change }: Props) {
  const n = data.all.length;
  const box = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<[number, number]>(); // places in bins, as dragged
  if (n === 0 || data.edges.length < 2) return <Histogram label={data.name} edges={data.edges} all={data.all} />;
  const set = low !== "" || high !== "";
  const ends: [number, number] = [low === "" ? 0 : placeOf(Number(low), data), high === "" ? n : placeOf(Number(high), data)];
  const real = (bin: number) => (data.log ? 10 ** data.edges[bin]! : data.edges[bin]!);
  const written = (bin: number) => String(Number(real(bin).toPrecision(4)));
  /** An end at the edge of the histogram is no end. At least one bin wide. */
  const choose = (from: number, to: number) => change(from <= 0 ? "" : written(from), to >= n ? "" : written(to));
  const at = (event: PointerEvent) => {
    const { left, width } = box.current!.getBoundingClientRect();
    return Math.max(0, Math.min(n, (n * (event.clientX - left)) / Math.max(1, width)));
  };
  const [from, to] = drag ? [Math.floor(Math.min(...drag)), Math.max(Math.floor(Math.min(...drag)) + 1, Math.ceil(Math.max(...drag)))] : ends;
  const shown = drag !== undefined || set;
  const slider = (end: "from" | "to", value: number, move: (bin: number) => void) => (
    <input type="range" min="0" max={n} step="1" value={value} aria-label={`${data.name} ${end}`} aria-valuetext={short(real(value))}
           onChange={(e) => move(Number(e.currentTarget.value))} />
  );
  const [first, last] = [Math.min(n - 1, Math.round(ends[0])), Math.max(1, Math.round(ends[1]))];
  return (
    <div class="range">
      <div class="drag" ref={box}
           onPointerDown={(e) => { if (e.button !== 0) return; box.current!.setPointerCapture(e.pointerId); const x = at(e); setDrag([x, x]); }}
           onPointerMove={(e) => { if (drag) setDrag([drag[0], at(e)]); }}
           onPointerUp={() => { if (!drag) return; setDrag(undefined); choose(from, to); }}
           onPointerCancel={() => setDrag(undefined)}>
        <Histogram label={data.name} edges={data.edges} all={data.all} chosen={data.chosen} log={data.log} range={shown ? [from / n, to / n] : undefined} />
      </div>
      <div class="sliders">
        {slider("from", first, (bin) => choose(Math.min(bin, last - 1), last))}
        {slider("to", last, (bin) => choose(first, Math.max(bin, first + 1)))}
        {set && <button type="button" onClick={() => change("", "")}><span class="unseen">Clear the range of {data.name}: </span>{low === "" ? "…" : short(Number(low))} – {high === "" ? "…" : short(Number(high))} <span aria-hidden="true">✕</span></button>}
      </div>
    </div>
  );
}
