// Questions to the server. What goes wrong is a Fault: found, wanted, where, hint.
import { useEffect, useState } from "preact/hooks";

export class Fault extends Error {
  constructor(readonly found: string, readonly wanted = "", readonly where = "", readonly hint = "", readonly status = 0) {
    super(found);
  }
}

export type Params = Record<string, string | number | boolean | null | undefined>;

/** `parts` become path segments, percent-encoded; empty parameters are left out. */
export function address(parts: (string | number)[], params: Params = {}): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "" && value !== false) query.set(key, value === true ? "1" : String(value));
  }
  const path = "/api/v1/" + parts.map((part) => encodeURIComponent(part)).join("/");
  return query.size ? `${path}?${query}` : path;
}

async function answer<T>(request: Promise<Response>, where: string): Promise<T> {
  let response: Response;
  try {
    response = await request;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Fault("no answer from the server", "gloss serve running at this address", where, "is it still running?");
  }
  let body: any;
  try {
    body = await response.json();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Fault(`an answer that is not JSON (status ${response.status})`, "JSON", where, "", response.status);
  }
  if (response.ok) return body as T;
  const e = body?.error ?? {};
  throw new Fault(e.found || `status ${response.status}`, e.wanted, e.where || where, e.hint, response.status);
}

export const get = <T,>(url: string, signal?: AbortSignal) => answer<T>(fetch(url, { signal }), url);

let csrf = "";
export const setCsrf = (token: string) => { csrf = token; };

export const post = <T,>(url: string, body: unknown, signal?: AbortSignal) =>
  answer<T>(
    fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Gloss-Token": csrf },
      body: JSON.stringify(body),
      signal,
    }),
    url,
  );

export interface Asked<T> { data?: T; fault?: Fault; loading: boolean; again: () => void }

/** Asks for `url`, anew when it changes; the question before is cancelled. null: not yet. The old answer stays until the new one comes. */
export function useGet<T>(url: string | null): Asked<T> {
  const [state, setState] = useState<{ url?: string | null; data?: T; fault?: Fault }>({});
  const [tries, setTries] = useState(0);
  useEffect(() => {
    if (url === null) return;
    const stop = new AbortController();
    get<T>(url, stop.signal).then(
      (data) => { if (!stop.signal.aborted) setState({ url, data }); },
      (error) => {
        if (!stop.signal.aborted) setState({ url, fault: error instanceof Fault ? error : new Fault(String(error)) });
      },
    );
    return () => stop.abort();
  }, [url, tries]);
  const again = () => { setState({}); setTries(tries + 1); };
  return { data: state.data, fault: state.fault, loading: url !== null && state.url !== url, again };
}
