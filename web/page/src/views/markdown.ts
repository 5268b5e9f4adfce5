// A latent as Markdown. Its texts come from anywhere: signs of Markdown and HTML are escaped.
import { num, short, signed, visible, whole } from "../show";
import type { Detail, Run } from "../types";

const safe = (text: string) => visible(text).replace(/[\\`*_{}[\]()<>#+\-!|&~]/g, (c) => `\\${c}`);

export function markdown(run: Run, d: Detail): string {
  const lines = [`# ${safe(d.hookpoint)}/${d.latent} (${safe(run.name)})`, "", `Fires ${whole(d.firings)} times, density ${short(d.density)}, max ${short(d.max)}.`];
  for (const e of d.explanations) {
    lines.push("", `## ${safe(e.explainer)}`, "", e.failed ? `Failed: ${safe(e.failed)}` : safe(e.text ?? ""));
    if (e.scores.length) lines.push("", "| scorer | judge | value | interval | n | failed | shuffled |", "|---|---|---|---|---|---|---|");
    for (const s of e.scores) {
      lines.push(`| ${safe(s.scorer)} | ${safe(s.judge)} | ${num(s.value)} | ${num(s.low)}–${num(s.high)} | ${s.n} | ${s.failed} | ${num(s.shuffled?.value)} |`);
    }
  }
  const weights = (title: string, list: Detail["promoted"]) => {
    if (list?.length) lines.push("", `${title}: ` + list.map((w) => `${safe(w.token)} (${signed(w.weight)})`).join(", "));
  };
  weights("Promoted", d.promoted);
  weights("Suppressed", d.suppressed);
  lines.push("", location.href);
  return lines.join("\n") + "\n";
}
