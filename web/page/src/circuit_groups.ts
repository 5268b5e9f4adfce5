// Nodes of a circuit taken together: effects add up, as those of latents over positions do (docs/methods.md).
import type { Circuit, Edge, Node } from "./types";

export const together = ["nothing", "positions", "explanations"] as const;

/** Names that were given to nodes, as the address has them: NAME:3.7,OTHER:1 */
export type Names = Map<number, string>;

export function namesOf(text: string | null): Names {
  const names: Names = new Map();
  for (const part of (text ?? "").split(",")) {
    const at = part.lastIndexOf(":");
    if (at > 0) for (const index of part.slice(at + 1).split(".")) names.set(Number(index), part.slice(0, at));
  }
  return names;
}

export function textOf(names: Names): string {
  const groups = new Map<string, number[]>();
  for (const [index, name] of names) groups.set(name, [...(groups.get(name) ?? []), index]);
  return [...groups].map(([name, members]) => `${name}:${members.join(".")}`).join(",");
}

/** A name without what separates names in the address. */
export const cleanName = (text: string) => text.replace(/[,:.]/g, " ").trim();

/** Nodes of one hookpoint that belong together become one; edges between groups add up, those within one are left out. */
export function grouped(circuit: Circuit, how: string, names: Names): Circuit {
  if (names.size === 0 && how !== "positions" && how !== "explanations") return circuit;
  const key = (node: Node, index: number) => {
    const name = names.get(index);
    if (name !== undefined) return `${node.hookpoint}\n:${name}`;
    if (how === "explanations" && node.explanation) return `${node.hookpoint}\n"${node.explanation}`;
    if (how === "positions" || how === "explanations") return `${node.hookpoint}\n${node.latent}`;
    return `${index}`;
  };
  const places = new Map<string, number>();
  const nodes: Node[] = [];
  const place = circuit.nodes.map((node, index) => {
    const of = key(node, index);
    const known = places.get(of);
    if (known === undefined) {
      places.set(of, nodes.length);
      nodes.push({ ...node, members: [index], ...(names.has(index) && { name: names.get(index)! }) });
      return nodes.length - 1;
    }
    const group = nodes[known]!;
    group.effect += node.effect;
    group.members!.push(index);
    if (group.position !== node.position) group.position = null;
    if (group.latent !== node.latent) group.latent = null;
    if (group.explanation !== node.explanation) group.explanation = null;
    return known;
  });
  const edges = new Map<string, Edge>();
  for (const { from, to, effect } of circuit.edges) {
    const [a, b] = [place[from], place[to]];
    if (a === undefined || b === undefined || a === b) continue;
    const known = edges.get(`${a} ${b}`);
    if (known) known.effect += effect;
    else edges.set(`${a} ${b}`, { from: a, to: b, effect });
  }
  return { ...circuit, nodes, edges: [...edges.values()] };
}
