// Made-up runs for the page's tests. Seeded: the same data each time. Tokens and texts are as hostile as real ones.
export const hostile = [
  "<script>window.__hit=1</script>", '"><img src=x onerror="window.__hit=1">', "' onfocus='window.__hit=1", "שלום", "مرحبا", "\u202Eabc", "漢字", "👩‍👩‍👧",
  "a\u200Bb", "\uFEFF", "\n", "\n\n", "\t", " ", "   ", "", "\u0000", "\uFFFD", "&amp;", "${window.__hit=1}", "{{x}}", "javascript:window.__hit=1", "|`*_#",
];
const words = " the cat sat on a mat and Lily was very happy because her mom gave big red ball to play with Tom".split(" ").map((w) => ` ${w}`);

export function random(seed) {
  let s = seed >>> 0;
  return () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), s | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const hookpoints = ["layers.2", "model/h.0?x#y%2F"];
const explainers = ["default", "person:Ada <b>", "contrastive"];
const scorers = ["detection", "fuzz"];
const interval = (v) => ({ value: v, low: Math.max(0, v - 0.1), high: Math.min(1, v + 0.1) });

export const run = {
  id: 0, name: "mock <run>", facts: [["model", "stories260k"], ["text", "stories & \u202Ereversed"], ["contexts", 4000], ["none", null]],
  hookpoints: hookpoints.map((name) => ({ name, latents: 150, alive: 140, tokens: 500000 })),
  explainers, scorers, judges: ["default"], columns: scorers.map((key) => ({ key, scorer: key, judge: "default", measure: "balanced accuracy" })),
  kinds: [{ name: "positional", rule: "its position tells whether it fires" }, { name: "single_token", rule: "<i>one</i> token" }], latents: 300, tau: 0.1, window: 32, context: 256,
  meaning: { embedder: "mini <b>", explanations: { default: 272 } },
};
export const bare = { id: 1, name: "bare", facts: [], hookpoints: [{ name: "h", latents: 1, alive: 0, tokens: 0 }], explainers: [], scorers: [], judges: [], columns: [], kinds: [], latents: 1 };

export const rows = [];
for (let i = 0; i < 300; i++) {
  const r = random(i + 1);
  const scored = i % 7 !== 3;
  const explained = i % 11 !== 5;
  const score = () => {
    const value = 0.4 + 0.6 * r();
    return { ...interval(value), n: 40, failed: i % 5 === 0 ? 3 : 0, shuffled: 0.5, excess: value - 0.5, chance: 0.5, measure: "balanced accuracy" };
  };
  rows.push({
    hookpoint: hookpoints[i < 150 ? 0 : 1], latent: i % 150, firings: Math.floor(1e4 * r() ** 4), density: r() ** 4 / 50, max: 10 * r(),
    explainer: explained ? "default" : null,
    explanation: explained ? `words about ${words[i % words.length]} and ${hostile[i % hostile.length]}` : null,
    kinds: i % 6 === 0 ? ["positional"] : [],
    scores: scored && explained ? { detection: score(), fuzz: score() } : {},
  });
}

export function tokens(seed, count, { peak = -1, marks = false, silent = false } = {}) {
  const r = random(seed);
  return Array.from({ length: count }, (_, i) => {
    const t = r() < 0.3 ? hostile[Math.floor(r() * hostile.length)] : words[Math.floor(r() * words.length)];
    const token = { t };
    if (t === "\uFFFD") token.partial = true;
    if (!silent && (i === peak || r() < 0.15)) token.a = i === peak ? 9 : 8 * r();
    if (marks && r() < 0.2) token.m = true;
    return token;
  });
}

export function detail(row, failed) {
  const deciles = Array.from({ length: 10 }, (_, i) => ({ decile: i + 1, ...(i === 4 ? { value: null, low: null, high: null } : interval(0.5 + i / 25)), n: null }));
  const score = (scorer) => ({ scorer, judge: "default", measure: "balanced accuracy", ...interval(0.8), n: 40, failed: 2, chance: 0.5, shuffled: interval(0.52), per_decile: deciles, counts: { tp: 17, fp: 3, tn: 16, fn: 4 } });
  const empty = row.latent % 11 === 5;
  return {
    hookpoint: row.hookpoint, latent: row.latent, of: 150, firings: row.firings, density: row.density, max: row.max,
    kinds: [{ name: "positional", value: row.kinds.length > 0, rule: run.kinds[0].rule }],
    explanations: empty ? [] : [
      { explainer: "default", text: row.explanation, call: "c1", scores: [score("detection"), score("fuzz")] },
      { explainer: explainers[1], text: `${hostile[0]} ${hostile[3]} ${hostile[5]} and more`, scores: [] },
      { explainer: "contrastive", text: null, failed: failed ?? 'no sentence in "<b>"', scores: [{ ...score("detection"), value: null, low: null, high: null, shuffled: null, per_decile: [], counts: null, failed: 40, n: 0 }] },
    ],
    promoted: empty ? null : hostile.slice(0, 12).map((token, i) => ({ token, weight: 2 - i / 10 })),
    suppressed: empty ? null : words.slice(0, 10).map((token, i) => ({ token, weight: -2 + i / 10 })),
    neighbours: empty ? [] : ["decoder", "coactivation"].map((measure) => ({ measure, latents: [0, 1, 2].map((k) => ({ latent: (row.latent + k + 1) % 150, value: 0.9 - k / 5, explanation: k === 1 ? null : hostile[k] })) })),
    logit_histogram: { edges: [-0.5, -0.25, 0, 0.25, 0.5], counts: [10, 200, 180, 12] },
    activation_histogram: { edges: [0, 1, 2, 3, 4], counts: [40, 20, 5, 1] },
    position_histogram: empty ? null : { edges: [0, 64, 128, 192, 256], counts: [4, 30, 31, 29], tokens: [64, 64, 64, 64] },
    top_tokens: empty ? null : hostile.map((token, i) => ({ token, firings: 100 - i, of: 500 })),
    different_tokens: 31, documents: 77, cost: { replies: 12, prompt_tokens: 9000, completion_tokens: 800, dollars: 0.0123 },
    provenance: [["model", "stories260k <fingerprint>"], ["settings", { tau: 0.1 }]],
    previous: row.latent > 0 ? row.latent - 1 : null, next: row.latent < 149 ? row.latent + 1 : null,
  };
}

export const judgements = Array.from({ length: 45 }, (_, i) => {
  const verdict = i < 10 ? "silent" : i < 13 ? "failed" : "fires";
  return {
    kind: "active", explainer: "default", scorer: i % 2 ? "fuzz" : "detection", judge: "default", decile: 1 + (i % 10), fires: true, verdict,
    probability: i % 3 ? i / 45 : null, right: verdict === "failed" ? null : verdict === "fires", reason: verdict === "failed" ? "an answer of 3 items, wanted 5 <b>" : null,
    window: i === 20 ? null : { tokens: tokens(500 + i, 32, { peak: 11, marks: i % 2 === 1 }), context: i, start: 32 }, call: `c${i}`,
  };
});

/** Another explainer on the same windows: wrong where the first was right on every third of them. */
export const others = judgements.map((j, i) => {
  const right = j.verdict === "failed" ? null : i % 3 === 0 ? !j.right : j.right;
  return { ...j, explainer: explainers[1], right, verdict: right === null ? "failed" : right === j.fires ? "fires" : "silent" };
});

export const differences = () => rows.filter((row) => row.scores.detection).map((row, i) => ({
  hookpoint: row.hookpoint, latent: row.latent, a: { text: row.explanation, ...interval(0.9), n: 40 },
  b: { text: i % 4 ? hostile[i % hostile.length] : null, ...interval(0.9 - 0.8 / (i + 1)), n: 40 }, difference: -0.8 / (i + 1),
}));
export const compared = (query) => ({
  a: { run: run.name, explainer: query.get("a"), text: `words about ${hostile[0]}` }, b: { run: run.name, explainer: query.get("b"), text: hostile[3] },
  scores: scorers.map((scorer) => ({ scorer, judge: "default", a: interval(0.9), b: interval(0.6), windows: 22, both_right: 11, only_a: 8, only_b: 1, both_wrong: 2, p: 0.039 })),
});

export const messages = [{ role: "system", text: `${hostile[0]} ${"A long beginning. ".repeat(20)}` }, { role: "user", text: "Text\n\twith ‮lines" }];
export const calls = [
  { hash: "c1", stage: "explain", provider: "mock", model: "m", prompt_tokens: 900, completion_tokens: 20, dollars: 0.001, failed: null, messages: [0, 1], reply: hostile[1] },
  { hash: "c2bbbbbbbbbbbbbb", stage: "detection", provider: "mock", model: null, prompt_tokens: null, completion_tokens: null, dollars: null, failed: "refused", messages: null, reply: null },
];

const nodes = hookpoints.concat("layers.4").flatMap((hookpoint, h) => Array.from({ length: 12 }, (_, i) => ({
  hookpoint, latent: i === 11 ? null : i * 3, position: i % 5, effect: (i % 2 ? -1 : 1) * (1 - i / 14) * (1 + h), explanation: i === 4 ? null : hostile[i],
})));
export const circuit = {
  version: 1, metric: " he/ she", method: "ig", aggregate: "position", node_threshold: 0.05, edge_threshold: 0.02, clean_metric: 3.1, patch_metric: -2.2,
  hookpoints: hookpoints.concat("layers.4").map((hookpoint) => ({ hookpoint })), nodes,
  edges: Array.from({ length: 60 }, (_, i) => ({ from: (i * 5) % 24, to: 12 * (1 + Math.floor(((i * 5) % 24) / 12)) + ((i * 7) % 12), effect: (i % 3 ? 1 : -1) * (1 - i / 64) })),
};

export const spec = {
  $schema: "https://vega.github.io/schema/vega-lite/v5.json", data: { values: [{ x: "<b>a", y: 3 }, { x: "שלום", y: 5 }] }, mark: { type: "bar", tooltip: true },
  transform: [{ calculate: "datum.y * 2", as: "z" }],
  encoding: { x: { field: "x", type: "nominal" }, y: { field: "z", type: "quantitative" } },
};
