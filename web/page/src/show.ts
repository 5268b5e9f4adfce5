// Numbers and tokens as text.
import type { Num } from "./types";

export const none = "–";

export function num(x: Num | undefined, digits = 2): string {
  if (x === null || x === undefined || !Number.isFinite(x)) return none;
  if (x !== 0 && Math.abs(x) < 10 ** -digits) return x.toExponential(1);
  return x.toFixed(digits);
}

export function short(x: Num | undefined): string {
  if (x === null || x === undefined || !Number.isFinite(x)) return none;
  if (x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5)) return x.toExponential(1);
  return String(Number(x.toPrecision(3)));
}

export const whole = (x: Num | undefined) => (x === null || x === undefined ? none : x.toLocaleString("en"));
export const signed = (x: number, digits = 2) => (x < 0 ? "−" : "+") + num(Math.abs(x), digits);

/** What a value of the server's facts and provenance reads as. */
export const plain = (value: unknown): string =>
  value === null || value === undefined ? none : typeof value === "object" ? JSON.stringify(value) : String(value);

// Characters that show nothing, and those that turn the direction of what follows.
const unseen = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0]/g;

/** The text of a token with everything in it visible: newlines, tabs, outer spaces, characters that show nothing. */
export function visible(text: string): string {
  if (text === "") return "∅";
  return text
    .replace(/\r/g, "␍")
    .replace(/\n/g, "↵")
    .replace(/\t/g, "⇥")
    .replace(unseen, (c) => `⟨${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`)
    .replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));
}

/** Inside running text a single space before a word is only a space. */
export function inLine(text: string): string {
  const lead = /^ (?=\S)/.test(text) ? " " : "";
  return lead + visible(lead ? text.slice(1) : text);
}

/** 12 s, 3 min 5 s, 2 h 5 min. */
export function duration(seconds: number): string {
  const s = Math.max(1, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
}
