// Circuits: a column a hookpoint, nodes by position or by strength, edges as wide as their effect; dashed where it is negative.
import { useMemo, useState } from "preact/hooks";
import { address, useGet } from "../api";
import { cleanName, grouped, namesOf, textOf, together } from "../circuit_groups";
import type { ViewProps } from "../main";
import { Choice } from "../parts/fields";
import { Answer, Nothing } from "../parts/state";
import { Text } from "../parts/tokens";
import { href, latentHref, setQuery } from "../route";
import { num, short, signed, visible, whole } from "../show";
import type { Circuit, Edge, Node } from "../types";

const column = 260;
const row = 46;
const box = { width: 168, height: 36 };

interface Placed { node: Node; index: number; x: number; y: number }

/** Nodes of at least `least`, each hookpoint from the top: by position and then strength. */
function layout(circuit: Circuit, least: number): Map<number, Placed> {
  const placed = new Map<number, Placed>();
  circuit.hookpoints.forEach(({ hookpoint }, c) => {
    circuit.nodes
      .map((node, index) => ({ node, index }))
      .filter(({ node }) => node.hookpoint === hookpoint && Math.abs(node.effect) >= least)
      .sort((a, b) => (a.node.position ?? 0) - (b.node.position ?? 0) || Math.abs(b.node.effect) - Math.abs(a.node.effect))
      .forEach(({ node, index }, r) => placed.set(index, { node, index, x: 8 + c * column, y: 34 + r * row }));
  });
  return placed;
}

const what = (node: Node) => node.name ?? (node.latent !== null ? `${node.latent}` : (node.members?.length ?? 1) > 1 ? "several" : "error term");
const label = (node: Node) => `${what(node)}${(node.members?.length ?? 1) > 1 ? ` ×${node.members!.length}` : ""}${node.position === null || node.position === undefined ? "" : ` @${node.position}`}`;
const cut = (text: string, length: number) => ([...text].length > length ? [...text].slice(0, length - 1).join("") + "…" : text);

interface GraphProps { circuit: Circuit; nodes: Map<number, Placed>; edges: Edge[]; pinned: number | null; pin: (index: number | null) => void }

function Graph({ circuit, nodes, edges, pinned, pin }: GraphProps) {
  const strongest = Math.max(1e-12, ...circuit.edges.map((e) => Math.abs(e.effect)));
  const touched = new Set(edges.filter((e) => e.from === pinned || e.to === pinned).flatMap((e) => [e.from, e.to]));
  const off = (index: number) => pinned !== null && index !== pinned && !touched.has(index);
  const height = Math.max(80, ...[...nodes.values()].map((n) => n.y + row));
  const width = circuit.hookpoints.length * column;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Graph of the circuit; the tables below say the same">
      <svg class="graph" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="group" aria-label="Circuit">
        {circuit.hookpoints.map(({ hookpoint }, c) => <text class="title" x={8 + c * column} y="18">{cut(visible(hookpoint), 34)}</text>)}
        {edges.map((e) => {
          const from = nodes.get(e.from)!;
          const to = nodes.get(e.to)!;
          const [x1, y1, x2, y2] = [from.x + box.width, from.y + box.height / 2, to.x, to.y + box.height / 2];
          const mid = (x1 + x2) / 2;
          const names = ["edge", e.effect < 0 && "negative", pinned !== null && e.from !== pinned && e.to !== pinned && "off"];
          return (
            <g class={names.filter(Boolean).join(" ")}>
              <path d={`M${x1} ${y1}C${mid} ${y1} ${mid} ${y2} ${x2} ${y2}`} stroke-width={0.6 + (6 * Math.abs(e.effect)) / strongest}>
                <title>{`${label(from.node)} → ${label(to.node)}: ${signed(e.effect, 3)}`}</title>
              </path>
              <text x={x2 - 10} y={y2 - 3} text-anchor="end">{e.effect < 0 ? "−" : "+"}</text>
            </g>
          );
        })}
        {[...nodes.values()].map(({ node, index, x, y }) => (
          <g class={`node${index === pinned ? " pinned" : ""}${off(index) ? " off" : ""}`} role="button" tabindex={0} aria-pressed={index === pinned} onClick={() => pin(index === pinned ? null : index)}
             onKeyDown={(e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); pin(index === pinned ? null : index); } }}>
            <title>{`${node.hookpoint}: ${node.explanation ? visible(node.explanation) : "not explained"}`}</title>
            <rect x={x} y={y} width={box.width} height={box.height} rx="4" class={node.effect < 0 ? "negative" : ""} />
            <text class="what" x={x + 6} y={y + 14}>{label(node)}  {signed(node.effect)}</text>
            <text x={x + 6} y={y + 28}>{cut(node.explanation ? visible(node.explanation) : "", 30)}</text>
          </g>
        ))}
      </svg>
    </div>
  );
}

function Details({ id, circuit, nodes, edges, pinned }: { id: string; circuit: Circuit; nodes: Map<number, Placed>; edges: Edge[]; pinned: number | null }) {
  const shown = [...nodes.values()].filter((n) => pinned === null || n.index === pinned || edges.some((e) => (e.from === pinned && e.to === n.index) || (e.to === pinned && e.from === n.index)));
  const between = (index: number) => edges.filter((e) => (pinned === e.from && e.to === index) || (pinned === e.to && e.from === index)).map((e) => signed(e.effect, 3)).join(", ");
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Nodes">
      <table class="nodes">
        <caption>{pinned === null ? "Nodes" : `The pinned node ${label(circuit.nodes[pinned]!)} and what it is joined to`}</caption>
        <thead><tr><th scope="col">node</th><th scope="col">effect</th><th scope="col">explanation</th>{pinned !== null && <th scope="col">edge to the pinned one</th>}</tr></thead>
        <tbody>
          {shown.map(({ node, index }) => (
            <tr>
              <th scope="row">{node.latent === null ? `${node.hookpoint} ${label(node)}` : <a href={latentHref(id, node.hookpoint, node.latent)}>{node.hookpoint}/{label(node)}</a>}</th>
              <td class="n">{signed(node.effect, 3)}</td>
              <td class="text">{node.explanation ? <Text text={node.explanation} /> : <span class="nothing">{node.members && node.members.length > 1 ? "several nodes" : node.latent === null ? "what the coder does not rebuild" : "not explained"}</span>}</td>
              {pinned !== null && <td class="n">{index === pinned ? "pinned" : between(index)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** From the least effect to the largest in steps of equal ratio: effects differ by orders of magnitude. */
function Threshold({ title, value, effects, change }: { title: string; value: number; effects: number[]; change: (value: number) => void }) {
  const sizes = effects.map(Math.abs).filter((size) => size > 0);
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const ratio = Math.log(most / least);
  if (!(ratio > 0)) return null;
  const place = Math.round(Math.max(0, Math.min(100, (100 * Math.log(Math.max(value, least) / least)) / ratio)));
  // The largest effect itself stays when the slider stands at its end.
  const at = (step: number) => step <= 0 ? 0 : Number(Math.min(most, least * Math.exp((ratio * step) / 100)).toPrecision(4)) * (step >= 100 ? 0.9999 : 1);
  return (
    <label class="block"><span>{title}: {short(value)}</span>
      <input type="range" min="0" max="100" step="1" value={place} aria-valuetext={short(value)} onInput={(e) => change(at(Number(e.currentTarget.value)))} /></label>
  );
}

const startWith = 60;

/** The threshold that a circuit begins with: its own, or a higher one that shows its strongest 60. */
function begin(asked: string | null, own: number | null | undefined, effects: number[]): number {
  if (asked !== null) return Number(asked) || 0;
  const sizes = effects.map(Math.abs).sort((a, b) => b - a);
  return Math.max(own ?? 0, sizes[startWith - 1] ?? 0);
}

/** Gives the pinned node a name: those of a hookpoint that have the same one are drawn as one. */
function Naming({ node, query }: { node: Node; query: URLSearchParams }) {
  const [name, setName] = useState(node.name ?? "");
  const members = node.members ?? [];
  const give = (text: string) => {
    const names = namesOf(query.get("groups"));
    for (const index of members) text ? names.set(index, text) : names.delete(index);
    setQuery({ groups: textOf(names), pin: "" }, true);
  };
  return (
    <form class="naming" onSubmit={(e) => { e.preventDefault(); give(cleanName(name)); }}>
      <label><span>Name of its group</span><input value={name} onInput={(e) => setName(e.currentTarget.value)} /></label>
      <button type="submit">Put into the group</button>
      {node.name !== undefined && <button type="button" onClick={() => give("")}>Take the group apart</button>}
    </form>
  );
}

function One({ id, circuit: given, query }: { id: string; circuit: Circuit; query: URLSearchParams }) {
  const how = query.get("together") ?? together[0];
  const circuit = useMemo(() => {
    const made = grouped(given, how, namesOf(query.get("groups")));
    return made === given ? { ...made, nodes: made.nodes.map((node, index) => ({ ...node, members: [index] })) } : made;
  }, [given, how, query.get("groups")]);
  const effects = (items: { effect: number }[]) => items.map((i) => i.effect);
  const [leastNode, setLeastNode] = useState(begin(query.get("node"), circuit.node_threshold, effects(circuit.nodes)));
  const [leastEdge, setLeastEdge] = useState(begin(query.get("edge"), circuit.edge_threshold, effects(circuit.edges)));
  const pin = query.get("pin");
  const nodes = useMemo(() => layout(circuit, leastNode), [circuit, leastNode]);
  const pinned = pin !== null && nodes.has(Number(pin)) ? Number(pin) : null;
  const edges = circuit.edges.filter((e) => Math.abs(e.effect) >= leastEdge && nodes.has(e.from) && nodes.has(e.to));
  if (circuit.nodes.length === 0) return <Nothing>The circuit has no nodes.</Nothing>;
  return (
    <>
      <p><bdi>{circuit.metric ?? "each pair's own answers"}</bdi> · {circuit.method} · clean {num(circuit.clean_metric)}, patch {num(circuit.patch_metric)} logits</p>
      <Choice label="Together " value={how} options={together} change={(to) => setQuery({ together: to === together[0] ? "" : to, pin: "" }, true)} />
      <Threshold title="Least effect of a node" value={leastNode} effects={effects(circuit.nodes)} change={(v) => { setLeastNode(v); setQuery({ node: String(v) }, true); }} />
      <Threshold title="Least effect of an edge" value={leastEdge} effects={effects(circuit.edges)} change={(v) => { setLeastEdge(v); setQuery({ edge: String(v) }, true); }} />
      <p role="status">{whole(nodes.size)} of {whole(circuit.nodes.length)} nodes, {whole(edges.length)} of {whole(circuit.edges.length)} edges. Dashed: negative. A press pins a node.
        {pinned !== null && <button type="button" onClick={() => setQuery({ pin: "" }, true)}>Take the pin out</button>}</p>
      {pinned !== null && <Naming node={circuit.nodes[pinned]!} query={query} key={pinned} />}
      <Graph circuit={circuit} nodes={nodes} edges={edges} pinned={pinned} pin={(i) => setQuery({ pin: i === null ? "" : String(i) }, true)} />
      <Details id={id} circuit={circuit} nodes={nodes} edges={edges} pinned={pinned} />
    </>
  );
}

function Named({ id, name, query }: { id: string; name: string; query: URLSearchParams }) {
  const asked = useGet<Circuit>(address(["runs", id, "circuits", name]));
  return <Answer asked={asked} what={`circuit ${name}`}>{(circuit) => <One id={id} circuit={circuit} query={query} />}</Answer>;
}

export function CircuitsView({ run, route }: ViewProps) {
  const id = String(run.id);
  const asked = useGet<string[]>(address(["runs", id, "circuits"]));
  return (
    <>
      <h1>Circuits</h1>
      <Answer asked={asked} what="circuits">
        {(names) => {
          const name = route.path[3] ?? names[0];
          if (name === undefined) return <Nothing>The run has no circuit. <code>gloss circuit</code> makes one; <code>gloss serve --circuit FILE</code> shows one from elsewhere.</Nothing>;
          return (
            <>
              {names.length > 1 && <Choice label="Circuit " value={name} options={names} change={(to) => { location.hash = href(["run", id, "circuits", to]); }} />}
              <Named id={id} name={name} query={route.query} key={name} />
            </>
          );
        }}
      </Answer>
    </>
  );
}
