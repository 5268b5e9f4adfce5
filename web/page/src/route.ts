// Where the page is: #/run/0/latent/layers.2/17?context=wide. All state that a link should carry is here.
import { useEffect, useState } from "preact/hooks";

export interface Route { path: string[]; query: URLSearchParams }

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function parse(hash: string): Route {
  const text = hash.replace(/^#\/?/, "");
  const mark = text.indexOf("?");
  const path = (mark < 0 ? text : text.slice(0, mark)).split("/").filter(Boolean).map(decoded);
  return { path, query: new URLSearchParams(mark < 0 ? "" : text.slice(mark + 1)) };
}

export function href(path: (string | number)[], query?: URLSearchParams | Record<string, string>): string {
  const q = new URLSearchParams(query);
  for (const [key, value] of [...q]) if (value === "") q.delete(key);
  return "#/" + path.map((part) => encodeURIComponent(part)).join("/") + (q.size ? `?${q}` : "");
}

export const latentHref = (run: string, hookpoint: string, latent: number, query?: URLSearchParams | Record<string, string>) =>
  href(["run", run, "latent", hookpoint, latent], query);

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const change = () => setHash(location.hash);
    addEventListener("hashchange", change);
    return () => removeEventListener("hashchange", change);
  }, []);
  return parse(hash);
}

export const go = (to: string) => { location.hash = to; };

/** Changes parts of the query; "" takes a key away. `quietly`: without a new entry in the history. */
export function setQuery(changes: Record<string, string>, quietly = false) {
  const { path, query } = parse(location.hash);
  for (const [key, value] of Object.entries(changes)) value === "" ? query.delete(key) : query.set(key, value);
  const to = href(path, query);
  if (to === location.hash) return;
  if (!quietly) return go(to);
  history.replaceState(null, "", to);
  dispatchEvent(new HashChangeEvent("hashchange"));
}
