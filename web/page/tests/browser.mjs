// A browser on the page: faults of scripts and of the policy are collected, axe is at hand, pictures go to shots/.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";
import { start } from "../mock/server.mjs";

const axe = await readFile(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
export const views = {
  overview: "#/run/0",
  overview_by_meaning: "#/run/0?like=words+about+the+cat",
  ranged: "#/run/0?dmin=0.0001&dmax=0.01&score=detection&smin=0.5&mmin=0.25",
  latent: "#/run/0/latent/layers.2/17",
  bare_latent: "#/run/0/latent/layers.2/5",
  beside: "#/run/0/latent/layers.2/18?beside=1&by=decile&context=wide&newlines=1",
  compare: "#/run/0/compare",
  compare_latent: "#/run/0/compare?latent=layers.2%2F17&score=fuzz",
  figures: "#/run/0/figures",
  circuits: "#/run/0/circuits?pin=2",
  quiz: "#/run/0/quiz",
  quiz_write: "#/run/0/quiz/layers.2/17",
  quiz_judge: "#/run/0/quiz/layers.2/17?step=judge&scorer=fuzz",
  own_text: "#/run/0/text?text=Lily%20had%20a%20cat",
  bare: "#/run/1",
  bare_compare: "#/run/1/compare",
  bare_figures: "#/run/1/figures",
  bare_circuits: "#/run/1/circuits",
  missing_latent: "#/run/0/latent/nowhere/3",
  missing_run: "#/run/9",
};

export async function open() {
  const server = process.env.GLOSS_URL ? { address: process.env.GLOSS_URL, close() {} } : await start();
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  async function page({ dark = false, width = 1280, height = 900, path = "", touch = false } = {}) {
    const context = await browser.newContext({ colorScheme: dark ? "dark" : "light", viewport: { width, height }, reducedMotion: "reduce", hasTouch: touch });
    const tab = await context.newPage();
    tab.faults = [];
    tab.on("pageerror", (error) => tab.faults.push(String(error)));
    tab.on("console", (message) => { if (/Content Security Policy|Refused/.test(message.text())) tab.faults.push(message.text()); });
    await tab.goto(server.address + path);
    await settled(tab);
    return tab;
  }
  return { ...server, page, close: async () => { await browser.close(); server.close(); } };
}

/** Nothing loads any more. */
export async function settled(tab) {
  await tab.waitForSelector("main");
  await tab.waitForFunction(() => document.querySelector("main").childElementCount > 0 && !document.querySelector("[aria-busy=true]"));
  await tab.waitForLoadState("networkidle");
  await tab.waitForFunction(() => !document.querySelector("[aria-busy=true]"));
}

export async function at(tab, hash) {
  await tab.evaluate((to) => { location.hash = to; }, hash);
  await tab.waitForTimeout(50);
  await settled(tab);
}

/** No finding of axe, no fault of a script, nothing that hostile text started, no sideways scrolling of the page. */
export async function sound(tab, what) {
  const found = await tab.evaluate(`(async () => { ${axe}; const r = await axe.run(document, { resultTypes: ["violations"] });
    return r.violations.map((v) => v.id + ": " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + " // " + (n.any[0]?.message ?? n.all[0]?.message ?? "")).join(" | ")); })()`);
  assert.deepEqual(found, [], `${what}: axe`);
  assert.deepEqual(tab.faults, [], `${what}: faults`);
  assert.equal(await tab.evaluate(() => window.__hit), undefined, `${what}: a script of the data ran`);
  const wide = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${what}: ${wide} px wider than the window`);
}

export const shoot = async (tab, name) => {
  if (process.env.SHOTS) await tab.screenshot({ path: new URL(`../shots/${name}.png`, import.meta.url).pathname, fullPage: true });
};
