// Activating windows: random ones beside the strongest, or by decile.
import { address, useGet } from "../api";
import { Choice } from "../parts/fields";
import { Answer, Nothing } from "../parts/state";
import { Tokens } from "../parts/tokens";
import { setQuery } from "../route";
import { short, whole } from "../show";
import type { Window, Windows as Answered } from "../types";
import type { Place } from "./latent";

function List({ windows, max, newlines }: { windows: Window[]; max: number | null; newlines: boolean }) {
  if (windows.length === 0) return <Nothing>It never fires.</Nothing>;
  return (
    <ol class="windows">
      {windows.map((w) => {
        const strongest = Math.max(0, ...w.tokens.map((t) => t.a ?? 0));
        return (
          <li key={`${w.context}/${w.start}`}>
            <Tokens tokens={w.tokens} max={max} peak={w.peak} newlines={newlines} label={`Window, strongest ${short(strongest)}`} />
            <p class="where">max {short(strongest)}{w.decile ? ` · decile ${w.decile}` : ""} · context {whole(w.context)}, token {whole(w.start)}{w.document !== null && w.document !== undefined ? `, document ${whole(w.document)}` : ""}</p>
          </li>
        );
      })}
    </ol>
  );
}

function Chosen({ place, choose, title, limit, context, seed, newlines }: { place: Place; choose: string; title: string; limit: number; context: string; seed: string; newlines: boolean }) {
  const asked = useGet<Answered>(address(["runs", place.id, "latents", place.hookpoint, place.latent, "windows"], { choose, context, limit, seed }));
  return (
    <div>
      <h3>{title}</h3>
      <Answer asked={asked} what="windows">
        {(data) => <>
          {data.all !== undefined && data.windows.length > 0 && <p class="note">{whole(data.windows.length)} of {whole(data.all)} windows</p>}
          {choose !== "decile" ? <List windows={data.windows} max={data.max} newlines={newlines} /> : (
          data.windows.length === 0 ? <Nothing>It never fires.</Nothing> :
          [...new Set(data.windows.map((w) => w.decile ?? 0))].sort((a, b) => b - a).map((decile) => (
            <div>
              <h4>Decile {decile}{decile === 10 ? ", the strongest" : ""}</h4>
              <List windows={data.windows.filter((w) => (w.decile ?? 0) === decile)} max={data.max} newlines={newlines} />
            </div>
          ))
        )}
        </>}
      </Answer>
    </div>
  );
}

export function Windows({ place }: { place: Place }) {
  const { query } = place;
  const by = query.get("by") === "decile" ? "decile" : "beside";
  const context = query.get("context") ?? "narrow";
  const seed = query.get("seed") ?? "0";
  const newlines = query.get("newlines") === "1";
  const common = { place, context, seed, newlines };
  return (
    <section aria-label="Windows">
      <h2>Windows</h2>
      <div class="fields">
        <Choice label="Which" value={by} options={[["beside", "random beside the strongest"], ["decile", "by decile"]]} change={(v) => setQuery({ by: v === "decile" ? v : "" }, true)} />
        <Choice label="Context" value={context} options={["narrow", "wide", "whole"]} change={(v) => setQuery({ context: v === "narrow" ? "" : v }, true)} />
        <label class="check"><input type="checkbox" checked={newlines} onChange={() => setQuery({ newlines: newlines ? "" : "1" }, true)} /> break at newlines</label>
        <button type="button" onClick={() => setQuery({ seed: String(Number(seed) + 1) }, true)}>Other random ones</button>
      </div>
      {by === "decile" ? <Chosen {...common} choose="decile" title="By decile of activation" limit={30} /> : (
        <div class="pair">
          <Chosen {...common} choose="random" title="Random" limit={12} />
          <Chosen {...common} choose="top" title="Strongest" limit={12} seed="0" />
        </div>
      )}
    </section>
  );
}
