// The filter of the overview: fields of the address to what the server takes.
import type { Params } from "./api";

export const filterFields = ["where", "text", "like", "lmin", "lmax", "token", "hookpoint", "explainer", "kind", "dmin", "dmax", "mmin", "mmax", "score", "smin", "smax"] as const;

/** `kind` lists kinds wanted and, with a minus before them, not wanted. */
export const kindsOf = (query: URLSearchParams) => (query.get("kind") ?? "").split(",").filter(Boolean);

/** The question by meaning; "" when there is none. */
export const likeOf = (query: URLSearchParams) => query.get("like")?.trim() ?? "";

/** One condition of all of them. */
export function condition(query: URLSearchParams): string {
  const parts: string[] = [];
  const range = (name: string, least: string | null, most: string | null) => {
    if (least && Number.isFinite(Number(least))) parts.push(`${name}>=${Number(least)}`);
    if (most && Number.isFinite(Number(most))) parts.push(`${name}<=${Number(most)}`);
  };
  range("density", query.get("dmin"), query.get("dmax"));
  range("max", query.get("mmin"), query.get("mmax"));
  if (likeOf(query)) range("similarity", query.get("lmin"), query.get("lmax"));
  const score = query.get("score");
  if (score) range(score, query.get("smin"), query.get("smax"));
  for (const kind of kindsOf(query)) parts.push(kind.startsWith("-") ? `not ${kind.slice(1)}` : kind);
  const raw = query.get("where")?.trim();
  if (raw) parts.push(parts.length ? `(${raw})` : raw);
  return parts.join(" and ");
}

export const filterParams = (query: URLSearchParams): Params => ({
  where: condition(query),
  text: query.get("text"),
  like: likeOf(query),
  token: query.get("token"),
  hookpoint: query.get("hookpoint"),
  explainer: query.get("explainer"),
});

/** The fields that a range on the histogram of this name sets. */
export function rangeFields(name: string): { low: string; high: string; score: string } {
  if (name === "density") return { low: "dmin", high: "dmax", score: "" };
  if (name === "max") return { low: "mmin", high: "mmax", score: "" };
  if (name === "similarity") return { low: "lmin", high: "lmax", score: "" };
  return { low: "smin", high: "smax", score: name };
}

/** How the table is sorted. Without a word on it: as the run has its latents, or the nearest to a question by meaning first. */
export function order(query: URLSearchParams): { sort: string; down: boolean } {
  const sort = query.get("sort");
  if (sort && (sort !== "similarity" || likeOf(query))) return { sort, down: query.get("desc") === "1" };
  return likeOf(query) ? { sort: "similarity", down: true } : { sort: "latent", down: query.get("desc") === "1" };
}

/** The part of the address that a latent's page keeps, so that its links lead back to the same list. */
export function kept(query: URLSearchParams): URLSearchParams {
  const out = new URLSearchParams();
  for (const key of [...filterFields, "sort", "desc"]) {
    const value = query.get(key);
    if (value) out.set(key, value);
  }
  return out;
}
