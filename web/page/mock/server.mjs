// The API of docs/api.md answered from made-up data, and the built page under the server's own policy.
// node mock/server.mjs [PORT]. POST /mock {fail: "part of a path", delay: ms} makes requests fail or wait.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import * as data from "./data.mjs";

const at = (path) => fileURLToPath(new URL(`../../../src/gloss/${path}`, import.meta.url));
const files = {
  "/": [at("dashboard/assets/index.html"), "text/html; charset=utf-8"],
  "/assets/page.js": [at("dashboard/assets/page.js"), "text/javascript; charset=utf-8"],
  "/assets/page.css": [at("dashboard/assets/page.css"), "text/css; charset=utf-8"],
  "/assets/figures.js": [at("report/assets/figures.js"), "text/javascript; charset=utf-8"],
};
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

class Wrong extends Error {
  constructor(status, found, wanted = "", hint = "") { super(found); Object.assign(this, { status, found, wanted, hint }); }
}

/** As if embedded: how many words of the question an explanation has. */
function similarity(row, query) {
  const asked = query.get("like").split(/\s+/).filter(Boolean);
  return asked.filter((word) => row.explanation.includes(word)).length / asked.length;
}

function chosen(query) {
  const where = query.get("where") ?? "";
  const known = where.replace(/\b(density|max|firings|detection|fuzz|excess|positional|similarity|single_token|and|or|not|[\d.]+(e[+-]?\d+)?)\b|[.<>=()\s]/g, "");
  if (known) throw new Wrong(400, `'${known}' in a condition`, "density, firings, max, a kind or a score", "density<0.01 and not positional");
  return data.rows.filter((row) =>
    (!query.get("hookpoint") || row.hookpoint === query.get("hookpoint")) &&
    (!query.get("like") || row.explanation) &&
    (!/similarity>=/.test(where) || similarity(row, query) >= Number(/similarity>=([\d.]+)/.exec(where)[1])) &&
    (!query.get("text") || (row.explanation ?? "").includes(query.get("text"))) &&
    (!/(^|and )positional/.test(where) || row.kinds.length > 0) && (!/not positional/.test(where) || row.kinds.length === 0));
}

function table(query) {
  const like = query.get("like");
  const all = chosen(query).map((row) => (like ? { ...row, similarity: similarity(row, query) } : row));
  const key = query.get("sort") ?? "latent";
  const [scorer, excess] = key.split(".");
  const value = (row) => key === "latent" ? null : key in row ? row[key] : row.scores[scorer]?.[excess ? "excess" : "value"];
  if (key !== "latent") {
    const way = query.get("desc") ? -1 : 1;
    all.sort((a, b) => (value(a) == null ? 1 : 0) - (value(b) == null ? 1 : 0) || (value(a) < value(b) ? -way : value(a) > value(b) ? way : 0));
  } else if (query.get("desc")) all.reverse();
  const offset = Number(query.get("offset") ?? 0);
  return { total: all.length, offset, rows: all.slice(offset, offset + Number(query.get("limit") ?? 50)) };
}

function histograms(query) {
  const some = new Set(chosen(query));
  const one = (name, log, value) => {
    const edges = log ? [-8, -6, -4, -3, -2, -1] : [0, 0.25, 0.5, 0.75, 1];
    const count = (rows) => edges.slice(1).map((high, i) => rows.filter((r) => { const v = log ? Math.log10(value(r)) : value(r); return v >= edges[i] && v < high; }).length);
    return { name, log, edges, all: count(data.rows), chosen: count(data.rows.filter((r) => some.has(r))) };
  };
  return { total: some.size, histograms: [one("density", true, (r) => r.density), one("max", false, (r) => r.max / 10), one("detection", false, (r) => r.scores.detection?.value), ...(query.get("like") ? [one("similarity", false, (r) => (r.explanation ? similarity(r, query) : undefined))] : [])] };
}

function windows(row, query) {
  const count = row.firings === 0 ? 0 : Number(query.get("limit") ?? 20);
  const length = { wide: 128, whole: 256 }[query.get("context")] ?? 32;
  const seed = row.latent * 1000 + Number(query.get("seed") ?? 0) * 50;
  return { max: 9, all: row.firings, windows: Array.from({ length: count }, (_, i) => ({ context: 3 + i, start: 32 * i, document: i, decile: 10 - Math.floor((i * 10) / count), tokens: data.tokens(seed + i, length, { peak: 9 }), peak: 9 })) };
}

function latent(run, path, query, body) {
  const row = data.rows.find((r) => r.hookpoint === path[0] && r.latent === Number(path[1]));
  if (!row) throw new Wrong(404, `no latent ${path[0]}/${path[1]}`, "a hookpoint of the run and a latent below 150");
  if (path[2] === "windows") return windows(row, query);
  if (path[2] === "judgements") {
    const other = query.get("explainer") === data.run.explainers[1];
    const some = (other ? data.others : data.judgements).filter((j) => !query.get("scorer") || j.scorer === query.get("scorer"));
    const offset = Number(query.get("offset") ?? 0);
    return { total: some.length, judgements: some.slice(offset, offset + Number(query.get("limit") ?? 50)) };
  }
  return data.detail(row);
}

const quiz = (query) => ({ id: "q1", explanation: query.get("explainer") ? `what ${data.hostile[0]} says` : undefined, windows: Array.from({ length: 4 }, (_, i) => ({ tokens: data.tokens(900 + i, 24, { silent: true, marks: query.get("scorer") === "fuzz" }) })) });

function answer(method, path, query, body) {
  const [first, run, kind, ...rest] = path;
  if (first === "session") return { version: "0.9-mock", read_only: false, csrf: "feed", can: { text: true, steer: true, judge: true } };
  if (first === "text") {
    if (body.text.includes("fail")) throw new Wrong(400, "a text that fails", "another text");
    const some = (k) => [{ latent: k % 150, a: 1 + (k % 5), explanation: data.hostile[k % 20] }, { latent: 7, a: k % 3, explanation: null }].filter((f) => f.a > 0);
    const tokens = body.text.split(/(?= )/).map((t, i) => ({ t, latents: some(i) }));
    return { id: "t1", tokens, latents: [{ latent: 7, max: 2, sum: 5, explanation: null }, { latent: 1, max: 2, sum: 2, explanation: data.hostile[1] }] };
  }
  if (first === "steer") return { without: `${body.prompt} there was a cat.`, with: `${body.prompt} <b>${body.strength}</b>` };
  if (first !== "runs") throw new Wrong(404, "no such route");
  if (run === undefined) return [data.run, data.bare];
  if (run === "1") {
    if (kind === "latents" && rest.length === 0) return { total: 0, offset: 0, rows: [] };
    if (kind === "histograms") return { total: 0, histograms: [] };
    return kind === "calls" ? { calls: [], messages: [] } : [];
  }
  switch (kind) {
    case "latents": return rest.length ? latent(run, rest, query, body) : table(query);
    case "histograms": return histograms(query);
    case "random": return { hookpoint: data.hookpoints[1], latent: 42 };
    case "calls": return { calls: data.calls, messages: data.messages };
    case "figures": return rest.length ? data.spec : chosen(query).length === 0 ? [] : [{ name: "scores", title: "Scores <b>", text: "How scores lie." }, { name: "outcomes", title: "Outcomes", text: "Of one latent." }];
    case "circuits": return rest.length ? data.circuit : ["pronouns"];
    case "compare": return data.compared(query);
    case "differences": {
      const all = data.differences(query);
      const offset = Number(query.get("offset") ?? 0);
      return { total: all.length, offset, mean_a: 0.81, mean_b: 0.7, rows: all.slice(offset, offset + Number(query.get("limit") ?? 50)) };
    }
    case "agreement": return [{ scorer: "detection", explainer: "default", person: "person:Ada", judge: "default", latents: 3, n: 60, agree: 0.8, kappa: 0.6, low: 0.4, high: 0.8 }];
    case "quiz": return method === "POST" ? { judge: `person:${body.person}`, right: 2, answered: 3, score: { value: 0.66, low: 0.2, high: 0.9 }, truth: [true, false, true, false] } : quiz(query);
    case "explanations": return { explainer: `person:${body.person}` };
    default: throw new Wrong(404, `no route ${kind}`);
  }
}

export const quiet = { jobs: [], changed: false, explanations: 0, scores: 0 };

/** Listens; `mock.fail` is a part of addresses that are to fail, `mock.delay` a wait in ms, `mock.posts` what was sent, `mock.live` what goes on with run 0. */
export async function start(port = 0) {
  const mock = { fail: "", delay: 0, posts: [], aborted: 0, live: quiet };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://mock");
    const send = (status, type, body) => response.writeHead(status, { "Content-Type": type, "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff" }).end(body);
    const file = files[url.pathname];
    if (file) return send(200, file[1], await readFile(file[0]));
    let text = "";
    for await (const part of request) text += part;
    response.on("close", () => { if (!response.writableFinished) mock.aborted++; });
    if (mock.delay) await new Promise((done) => setTimeout(done, mock.delay));
    try {
      if (!url.pathname.startsWith("/api/v1/")) throw new Wrong(404, "no such file");
      if (mock.fail && request.url.includes(mock.fail)) throw new Wrong(500, "a disk <b>error</b>", "a disk", "look at the disk");
      if (request.method === "POST" && request.headers["x-gloss-token"] !== "feed") throw new Wrong(403, "no token");
      const body = text ? JSON.parse(text) : {};
      if (request.method === "POST") mock.posts.push({ path: url.pathname, body });
      const path = url.pathname.slice("/api/v1/".length).split("/").map(decodeURIComponent);
      if (path[0] === "events") {
        const run = url.searchParams.get("run");
        return send(200, "text/event-stream", `retry: 200\ndata: ${JSON.stringify({ run, ...(run === "0" ? mock.live : quiet) })}\n\n`);
      }
      if (path[2] === "reload") {
        mock.live = { ...mock.live, changed: false };
        return send(200, "application/json", JSON.stringify(data.run));
      }
      send(200, "application/json", JSON.stringify(answer(request.method, path, url.searchParams, body)));
    } catch (e) {
      send(e.status ?? 500, "application/json", JSON.stringify({ error: { found: e.found ?? String(e), wanted: e.wanted, where: url.pathname, hint: e.hint } }));
    }
  });
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  return { mock, address: `http://127.0.0.1:${server.address().port}/`, close: () => { server.closeAllConnections(); server.close(); } };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log((await start(Number(process.argv[2] ?? 8123))).address);
