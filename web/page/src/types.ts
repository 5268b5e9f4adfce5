// What the server answers: docs/api.md.

export type Num = number | null;

export interface Session { version: string; read_only: boolean; csrf: string; can: { text: boolean; steer: boolean; judge: boolean } }

export interface Column { key: string; scorer: string; judge: string; measure: string }
export interface Run {
  id: number | string;
  name: string;
  facts: [string, unknown][];
  tokens_hash?: string;
  hookpoints: { name: string; latents: number; alive: number; tokens: number }[];
  explainers: string[];
  scorers: string[];
  judges: string[];
  columns?: Column[];
  kinds: { name: string; rule: string }[];
  latents: number;
  /** Who answers questions by meaning, and how many explanations of each explainer are embedded. */
  meaning?: { embedder: string; explanations: Record<string, number> } | null;
}

export interface Job { command: string; stage: string; done: number; total: Num; unit: string; detail: string; rate: Num; left_s: Num }
export interface Events { run: string; jobs: Job[]; changed: boolean; explanations: number; scores: number }

export interface Interval { value: Num; low: Num; high: Num }
export interface RowScore extends Interval { n: number; failed: number; shuffled: Num; excess: Num; chance: Num; measure: string }
export interface Latent {
  hookpoint: string; latent: number; firings: number; density: Num; max: Num;
  explainer: string | null; explanation: string | null; kinds: string[]; scores: Record<string, RowScore>; similarity?: Num;
}
export interface Rows { total: number; offset: number; rows: Latent[] }
export interface Histogram { name: string; log: boolean; edges: number[]; all: number[]; chosen: number[] }
export interface Histograms { total: number; histograms: Histogram[] }

export interface Decile extends Interval { decile: number; n: Num }
export interface Score extends Interval {
  scorer: string; judge: string; measure: string; n: number; failed: number; chance: Num;
  shuffled: Interval | null; per_decile: Decile[]; counts?: Record<string, Num> | null;
}
export interface Explanation { explainer: string; text: string | null; failed?: string | null; call?: string | null; scores: Score[] }
export interface Weight { token: string; weight: number }
export interface Detail {
  hookpoint: string; latent: number; of: number; firings: number; density: Num; max: Num;
  kinds: { name: string; value: unknown; rule: string }[];
  explanations: Explanation[];
  promoted: Weight[] | null; suppressed: Weight[] | null;
  neighbours: { measure: string; latents: { latent: number; value: Num; explanation: string | null }[] }[] | null;
  logit_histogram?: { edges: number[]; counts: number[] } | null;
  activation_histogram: { edges: number[]; counts: number[] } | null;
  position_histogram: { edges: number[]; counts: number[]; tokens?: number[] | null } | null;
  top_tokens: { token: string; firings: number; of: Num }[] | null;
  different_tokens?: Num; documents: Num;
  cost: { replies: number; prompt_tokens: Num; completion_tokens: Num; dollars: Num } | null;
  provenance: [string, unknown][];
  previous: number | null; next: number | null;
}

export interface Token { t: string; a?: number | null; m?: boolean; partial?: boolean }
export interface Window { context: number; start: number; document?: number | null; decile?: Num; tokens: Token[]; peak?: number }
export interface Windows { max: Num; all?: number; windows: Window[] }
export interface Judgement {
  kind: string; explainer?: string; scorer?: string; judge?: string; decile?: Num; fires: boolean | null;
  verdict: "fires" | "silent" | "failed"; probability: Num; right: boolean | null; reason: string | null;
  window: { tokens: Token[]; context?: number; start?: number } | null; call: string | null;
}
export interface Judgements { total: number; judgements: Judgement[] }
export interface Message { role: string; text: string }
/** `messages`: places in those of the answer. */
export interface Call {
  hash: string; stage: string; provider: string | null; model: string | null; prompt_tokens: Num; completion_tokens: Num;
  dollars: Num; failed: unknown; messages?: number[] | null; reply: string | null;
}

export interface Figure { name: string; title: string; text: string }
export interface Node { hookpoint: string; latent: number | null; position?: number | null; effect: number; explanation?: string | null; members?: number[]; name?: string }
export interface Edge { from: number; to: number; effect: number }
export interface Circuit {
  metric: string | null; method: string; aggregate: string; node_threshold: number; edge_threshold: number;
  clean_metric: Num; patch_metric: Num; hookpoints: { hookpoint: string }[]; nodes: Node[]; edges: Edge[];
}
export interface Quiz { id: string; explanation?: string | null; windows: { tokens: Token[] }[] }
export interface QuizResult { judge: string; right: number; answered: number; score: Interval; truth: (boolean | null)[] }
export interface Agreement { scorer: string; explainer: string; person: string; judge: string; n: number; agree: Num; kappa: Num; low: Num; high: Num }
export interface Fired { latent: number; a: number; explanation: string | null }
export interface OwnText {
  id?: string; cut?: boolean; tokens: { t: string; partial?: boolean; latents: Fired[] }[];
  latents: { latent: number; max: number; sum: number; explanation: string | null }[];
}
export interface ComparedSide { run: string; explainer: string; text: string | null }
export interface Compared {
  a: ComparedSide; b: ComparedSide;
  scores: { scorer: string; judge: string; a: Interval; b: Interval; windows: number; both_right: number; only_a: number; only_b: number; both_wrong: number; p: Num }[];
}
export interface DifferenceSide extends Interval { text: string | null; n: number }
export interface Differences {
  total: number; offset: number; mean_a: Num; mean_b: Num;
  rows: { hookpoint: string; latent: number; a: DifferenceSide; b: DifferenceSide; difference: number }[];
}
