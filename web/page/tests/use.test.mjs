// What a person does: filters, keys, links, faults, copying, quiz, own text, steering.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { quiet } from "../mock/server.mjs";
import { at, open, settled } from "./browser.mjs";

let browser;
let tab;
before(async () => { browser = await open(); });
after(() => browser.close());
beforeEach(async () => {
  Object.assign(browser.mock, { fail: "", delay: 0, posts: [], aborted: 0, live: quiet });
  await tab?.context().close();
  tab = await browser.page();
});

const hash = () => tab.evaluate(() => decodeURIComponent(location.hash));
const asked = (part) => tab.waitForRequest((request) => request.url().includes(part));

test("fields become one condition, and stand in the address", async () => {
  for (const name of ["Density to", "Max to", "Score to"]) assert.equal(await tab.getByRole("spinbutton", { name }).count(), 1, name);
  await tab.getByRole("spinbutton", { name: "Density from" }).fill("0.001");
  await asked(`where=${encodeURIComponent("density>=0.001")}`);
  await tab.getByRole("combobox", { name: "Score", exact: true }).selectOption("fuzz.excess");
  await tab.getByRole("spinbutton", { name: "Score from" }).fill("0.1");
  await tab.getByRole("button", { name: "positional", exact: true }).click();
  const request = asked("positional+and+%28firings");
  await tab.getByLabel("Condition").fill("firings>3 or max<2");
  const where = new URL((await request).url()).searchParams.get("where");
  assert.equal(where, "density>=0.001 and fuzz.excess>=0.1 and positional and (firings>3 or max<2)");
  await settled(tab);
  const link = await tab.evaluate(() => location.href);
  await tab.goto("about:blank");
  await tab.goto(link);
  await settled(tab);
  assert.equal(await tab.getByRole("spinbutton", { name: "Density from" }).inputValue(), "0.001");
  assert.equal(await tab.getByLabel("Condition").inputValue(), "firings>3 or max<2");
  await tab.getByRole("button", { name: "Clear the filter" }).click();
  await settled(tab);
  assert.equal(await hash(), "#/run/0");
});

test("a press on a kind wants it, then leaves it out, then does not care", async () => {
  const kind = tab.locator(".kind", { hasText: "positional" });
  for (const want of ["?kind=positional", "?kind=-positional", ""]) {
    await kind.click();
    await settled(tab);
    assert.equal(await hash(), `#/run/0${want}`);
  }
});

test("a heading sorts, and sorts the other way", async () => {
  const heading = () => tab.getByRole("columnheader", { name: "detection" });
  for (const way of ["descending", "ascending"]) {
    await heading().getByRole("button").click();
    await settled(tab);
    assert.equal(await heading().getAttribute("aria-sort"), way);
  }
  const values = (await tab.locator("tbody tr td:nth-of-type(4) b").allTextContents()).map(Number);
  assert.ok(values.length > 20 && values.every((v, i) => i === 0 || v >= values[i - 1]), String(values));
});

test("a question by meaning sorts by nearness, has a range, and is taken back", async () => {
  const request = asked("sort=similarity");
  await tab.getByLabel("Like in meaning").fill("words about the cat");
  const params = new URL((await request).url()).searchParams;
  assert.equal(params.get("like"), "words about the cat");
  assert.equal(params.get("desc"), "1");
  await settled(tab);
  assert.equal(await hash(), "#/run/0?like=words+about+the+cat");
  assert.equal(await tab.getByRole("columnheader", { name: "Nearness" }).getAttribute("aria-sort"), "descending");
  const near = (await tab.locator("tbody tr td:nth-of-type(2)").allTextContents()).map(Number);
  assert.ok(near.length > 20 && near[0] > near.at(-1) && near.every((v, i) => i === 0 || v <= near[i - 1]), String(near));
  await tab.getByRole("columnheader", { name: "Nearness" }).getByRole("button").click();
  await settled(tab);
  assert.equal(await tab.getByRole("columnheader", { name: "Nearness" }).getAttribute("aria-sort"), "ascending");
  await tab.getByLabel("Condition").fill("similarity>=0.6");
  await asked(`where=${encodeURIComponent("similarity>=0.6")}`);
  await settled(tab);
  await tab.getByRole("button", { name: "Clear the filter" }).click();
  await settled(tab);
  assert.equal(await tab.getByRole("columnheader", { name: "Nearness" }).count(), 0);
  assert.match(await tab.locator(".above p").textContent(), /^300 of 300 latents\s*$/);
});

test("an explanation leads to the latents explained alike; without embeddings nothing offers that", async () => {
  await tab.goto(`${tab.url().split("#")[0]}#/run/0/latent/layers.2/7`);
  await settled(tab);
  const request = asked("sort=similarity");
  await tab.getByRole("link", { name: "Latents explained alike" }).first().click();
  assert.ok(new URL((await request).url()).searchParams.get("like").length > 3);
  await settled(tab);
  assert.equal(await tab.getByRole("columnheader", { name: "Nearness" }).count(), 1);
  await tab.goto(`${tab.url().split("#")[0]}#/run/1`);
  await settled(tab);
  assert.equal(await tab.getByLabel("Like in meaning").count(), 0);
});

test("pages follow each other to the last", async () => {
  await tab.getByRole("button", { name: "after" }).click();
  await settled(tab);
  assert.match(await hash(), /offset=50/);
  await at(tab, "#/run/0?offset=250");
  assert.ok(await tab.getByRole("button", { name: "after" }).isDisabled());
  assert.match(await tab.locator(".pages span").textContent(), /251–300 of 300/);
});

test("keys: rows, opening, next and previous latent, back, random, filter, help", async () => {
  await tab.keyboard.press("j");
  await tab.keyboard.press("j");
  await tab.keyboard.press("k");
  assert.equal(await tab.locator("tr.at th").textContent(), "layers.2/0");
  await tab.waitForFunction(() => document.activeElement?.closest("tr.at"));
  await tab.keyboard.press("Enter");
  await tab.waitForSelector("article.latent");
  assert.equal(await hash(), "#/run/0/latent/layers.2/0");
  await settled(tab);
  await tab.keyboard.press("j");
  await settled(tab);
  assert.equal(await hash(), "#/run/0/latent/layers.2/1");
  await tab.keyboard.press("k");
  await settled(tab);
  assert.equal(await hash(), "#/run/0/latent/layers.2/0");
  await tab.keyboard.press("o");
  await settled(tab);
  assert.equal(await hash(), "#/run/0");
  await tab.keyboard.press("/");
  assert.equal(await tab.evaluate(() => document.activeElement.id), "filter");
  await tab.keyboard.type("jkr?");
  assert.equal(await tab.getByLabel("Words in the explanation").inputValue(), "jkr?");
  await tab.getByLabel("Words in the explanation").fill("");
  await tab.keyboard.press("Escape");
  await tab.waitForTimeout(500);
  await settled(tab);
  await tab.keyboard.press("?");
  await tab.getByRole("dialog", { name: "Keys" }).waitFor();
  await tab.keyboard.press("Escape");
  await tab.waitForFunction(() => !document.querySelector("dialog"));
  await tab.keyboard.press("r");
  await tab.waitForSelector("article.latent");
  assert.equal(await tab.evaluate(() => location.hash), "#/run/0/latent/model%2Fh.0%3Fx%23y%252F/42");
  await tab.waitForSelector("h1:has-text('model/h.0?x#y%2F')");
});

test("a failed request says what was found and wanted, and is asked again", async () => {
  for (const [part, to] of [["latents?", "#/run/0?sort=max"], ["latents/layers.2/3", "#/run/0/latent/layers.2/3"], ["windows", "#/run/0/latent/layers.2/4"],
    ["figures/", "#/run/0/figures"], ["circuits/", "#/run/0/circuits"], ["agreement", "#/run/0/quiz"],
    ["differences", "#/run/0/compare"], ["compare?", "#/run/0/compare?latent=layers.2/3"]]) {
    browser.mock.fail = part;
    await at(tab, to);
    const alert = tab.getByRole("alert").first();
    assert.match(await alert.textContent(), /a disk <b>error<\/b>.*a disk.*look at the disk/, to);
    browser.mock.fail = "";
    while (await tab.getByRole("alert").count()) {
      await tab.getByRole("button", { name: "Try again" }).first().click();
      await tab.waitForTimeout(50);
      await settled(tab);
    }
  }
});

test("a wrong condition shows what the server wants, and the page stays usable", async () => {
  await tab.getByLabel("Condition").fill("densty<1");
  await tab.getByRole("alert").first().waitFor();
  assert.match(await tab.getByRole("alert").first().textContent(), /densty/);
  await tab.getByLabel("Condition").fill("density<1");
  await tab.waitForFunction(() => !document.querySelector("[role=alert]"));
});

test("while it loads the page says so, and a second question cancels the first", async () => {
  browser.mock.delay = 400;
  await tab.evaluate(() => { location.hash = "#/run/0?sort=max"; });
  await tab.waitForTimeout(100);
  assert.match(await tab.locator("main").textContent(), /Loading the latents/);
  await tab.evaluate(() => { location.hash = "#/run/0?sort=firings"; });
  await settled(tab);
  assert.ok(browser.mock.aborted > 0, "nothing was cancelled");
  assert.equal(await tab.getByRole("columnheader", { name: "Density" }).getAttribute("aria-sort"), null);
});

test("tokens tell their activation to pointer and keyboard", async () => {
  await at(tab, "#/run/0/latent/layers.2/17");
  const window = tab.locator(".window").first();
  await window.focus();
  assert.match(await window.locator(".told").textContent(), /9 · peak/);
  await tab.keyboard.press("ArrowRight");
  assert.ok(await window.locator(".token.at").count());
  assert.doesNotMatch(await window.locator(".told").textContent(), /peak/);
  await tab.locator(".token.peak").nth(3).hover();
  assert.match(await tab.locator(".token.peak").nth(3).getAttribute("title"), /9/);
});

test("windows: context, deciles, newlines and other random ones stand in the address", async () => {
  await at(tab, "#/run/0/latent/layers.2/17");
  const request = asked("context=whole");
  await tab.getByRole("combobox", { name: "Context" }).selectOption("whole");
  await request;
  await tab.getByRole("combobox", { name: "Which" }).selectOption("decile");
  await tab.getByLabel("break at newlines").check();
  await tab.getByRole("button", { name: "Other random ones" }).click();
  await settled(tab);
  assert.equal(await hash(), "#/run/0/latent/layers.2/17?context=whole&by=decile&newlines=1&seed=1");
  assert.ok(await tab.getByText("Decile 10, the strongest").isVisible());
  assert.ok((await tab.locator(".tokens br").count()) > 0);
});

test("judgements: wrong ones first, by scorer, page by page", async () => {
  await at(tab, "#/run/0/latent/layers.2/17");
  const states = () => tab.locator(".judged > p > b").allTextContents();
  assert.deepEqual((await states()).slice(8, 14), ["✗ wrong", "✗ wrong", "? failed", "? failed", "? failed", "✓ right"]);
  await tab.getByRole("navigation", { name: "Pages of judgements" }).getByRole("button", { name: "after" }).click();
  await settled(tab);
  assert.match(await tab.locator("section[aria-label=Judgements]").textContent(), /The window cannot be shown again/);
  const request = asked("scorer=fuzz");
  await tab.getByRole("combobox", { name: "Scorer" }).selectOption("fuzz");
  await request;
});

test("calls are asked for when opened, and show prompts as text", async () => {
  await at(tab, "#/run/0/latent/layers.2/17");
  const request = asked("/calls?");
  await tab.getByText("Prompts and replies").click();
  await request;
  await settled(tab);
  const calls = tab.locator("section[aria-label=Calls]");
  assert.match(await calls.textContent(), /<script>window.__hit=1<\/script>.*The prompt was not kept/s);
  await calls.locator("summary", { hasText: "c1" }).click();
  const long = calls.locator("details", { has: tab.getByText(/\d characters/) }).last();
  assert.equal(await long.locator("pre").isVisible(), false);
  await long.locator("summary").click();
  assert.match(await long.locator("pre").textContent(), /A long beginning/);
});

test("copies as Markdown in which hostile text is only text", async () => {
  await tab.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await at(tab, "#/run/0/latent/layers.2/22");
  await tab.getByRole("button", { name: "Copy as Markdown" }).click();
  await tab.getByRole("button", { name: "copied" }).waitFor();
  const text = await tab.evaluate(() => navigator.clipboard.readText());
  assert.match(text, /^# layers\.2\/22 \(mock \\<run\\>\)/);
  assert.ok(text.includes("\\|\\`\\*\\_\\#") && !text.includes("<script>"), text);
  await tab.getByRole("button", { name: "JSON" }).click();
  await tab.waitForTimeout(100);
  assert.equal(JSON.parse(await tab.evaluate(() => navigator.clipboard.readText())).latent, 22);
});

test("a circuit: thresholds thin it out, a press pins, the table links", async () => {
  await at(tab, "#/run/0/circuits");
  const nodes = tab.locator("svg.graph .node");
  assert.equal(await nodes.count(), 36);
  const least = tab.getByRole("slider", { name: "Least effect of a node" });
  await least.fill("76");
  assert.equal(await least.getAttribute("aria-valuetext"), "1.59", "steps of equal ratio, from the least effect to the largest");
  assert.equal(await nodes.count(), 10);
  await least.fill("100");
  assert.equal(await nodes.count(), 1, "the largest stays");
  await least.fill("0");
  assert.equal(await nodes.count(), 36);
  await nodes.first().focus();
  await tab.keyboard.press("Enter");
  await tab.waitForSelector("svg.graph .node.pinned");
  assert.match(await hash(), /pin=\d+/);
  await tab.locator("table a").first().click();
  await tab.waitForSelector("article.latent");
});

test("a circuit: nodes are taken together by position, by explanation and by name", async () => {
  await at(tab, "#/run/0/circuits");
  const nodes = tab.locator("svg.graph .node");
  const all = await nodes.count();
  await tab.getByLabel("Together").selectOption("positions");
  assert.ok((await nodes.count()) <= all);
  await tab.getByLabel("Together").selectOption("nothing");
  for (const nth of [0, 1]) {
    await nodes.nth(nth).click();
    await tab.getByLabel("Name of its group").fill("she: <b>");
    await tab.getByRole("button", { name: "Put into the group" }).click();
  }
  assert.equal(await nodes.count(), all - 1);
  assert.match(await nodes.first().textContent(), /she  <b> ×2/);
  assert.match(decodeURIComponent(await hash()), /groups=she\+\+<b>:\d+\.\d+/);
  await nodes.first().click();
  await tab.getByRole("button", { name: "Take the group apart" }).click();
  assert.equal(await nodes.count(), all);
});

test("figures: the bundle is loaded here alone, and draws", async () => {
  assert.equal(await tab.locator("script[src='/assets/figures.js']").count(), 0);
  await at(tab, "#/run/0/figures");
  await tab.waitForSelector(".drawing svg");
  assert.match(await tab.locator(".drawing").textContent(), /<b>a/);
  assert.deepEqual(tab.faults, []);
});

test("figures are of the latents that the filter lets through", async () => {
  await at(tab, "#/run/0?text=cat&dmin=0.0001");
  const request = asked("/figures/");
  await tab.getByRole("navigation", { name: "Views" }).getByRole("link", { name: "Figures" }).click();
  const params = new URL((await request).url()).searchParams;
  assert.equal(params.get("text"), "cat");
  assert.equal(params.get("where"), "density>=0.0001");
  await tab.waitForSelector(".drawing svg");
  await tab.getByText(/^Of \d+ of 300 latents, those that meet the filter/).waitFor();
  await tab.getByLabel("Words in the explanation").fill("nothing says this");
  await tab.getByText("None of these latents has a score").waitFor();
  await tab.getByRole("button", { name: "Clear the filter" }).click();
  await tab.waitForSelector(".drawing svg");
  assert.equal(await hash(), "#/run/0/figures");
  await tab.getByText(/^Of all 300 latents/).waitFor();
});

test("jobs of others are seen while they run, and what they bring is shown when asked for", async () => {
  assert.equal(await tab.locator(".live").count(), 0);
  const job = { command: "explain", stage: "layers.2 <b>", done: 25, total: 100, unit: "latents", detail: "<script>window.__hit=1</script>", rate: 5, left_s: 75 };
  browser.mock.live = { jobs: [job], changed: false, explanations: 0, scores: 0 };
  await tab.reload();
  const line = tab.locator(".live .job");
  await line.waitFor();
  assert.match(await line.textContent(), /gloss explain layers\.2 <b>: 25 of 100 latents 5\/s, 1 min 15 s left/);
  assert.equal(await tab.getByRole("progressbar", { name: "gloss explain" }).getAttribute("value"), "25");
  browser.mock.live = { jobs: [{ ...job, done: 30, total: null, rate: null, left_s: null }], changed: true, explanations: 7, scores: 1 };
  await tab.getByText("7 new explanations, 1 new score since the run was opened.").waitFor();
  assert.equal(await tab.getByRole("progressbar").count(), 0);
  const again = asked("/latents?");
  await tab.getByRole("button", { name: "Show", exact: true }).click();
  await again;
  assert.deepEqual(browser.mock.posts.at(-1).path, "/api/v1/runs/0/reload");
  await settled(tab);
  await tab.getByText("since the run was opened").waitFor({ state: "detached" });
  browser.mock.live = quiet;
  await tab.locator(".live").waitFor({ state: "detached" });
  assert.deepEqual(tab.faults, []);
});

test("quiz: explain first, judge blind, see the truth", async () => {
  await at(tab, "#/run/0/quiz/layers.2/17");
  assert.ok(!(await tab.locator("main").textContent()).includes("words about"), "shows the explanation of others");
  await tab.getByLabel("Your name").fill("Ada");
  await tab.getByRole("textbox", { name: "Your explanation" }).fill("ends of <b>sentences");
  await tab.getByRole("button", { name: "Keep it" }).click();
  await tab.getByText("Kept as person:Ada").waitFor();
  await settled(tab);
  assert.equal(await tab.locator(".token.hot").count(), 0);
  await tab.getByRole("group", { name: "Question 1", exact: true }).last().getByLabel("yes").check();
  await tab.getByRole("group", { name: "Question 2", exact: true }).last().getByLabel("yes").check();
  await tab.getByRole("button", { name: "Answer 2 of 4" }).click();
  await tab.getByText("2 of 3 right").waitFor();
  assert.deepEqual(browser.mock.posts.map((p) => p.body), [
    { person: "Ada", text: "ends of <b>sentences" },
    { person: "Ada", scorer: "detection", explainer: "person:Ada", id: "q1", answers: [true, true, null, null] },
  ]);
  assert.deepEqual(await tab.locator(".judged > p > b").allTextContents(), ["✓ right", "✗ wrong", "skipped", "skipped"]);
});

test("own text: tokens, latents of one, heat of one; a new text cancels the one before", async () => {
  await at(tab, "#/run/0/text");
  browser.mock.delay = 600;
  await tab.getByLabel("Text", { exact: true }).fill("Lily had");
  await tab.waitForTimeout(450);
  await tab.getByLabel("Text", { exact: true }).fill("Lily had a cat");
  await tab.waitForSelector(".pick");
  assert.equal(await tab.locator(".pick").count(), 4);
  assert.ok(browser.mock.aborted > 0, "nothing was cancelled");
  browser.mock.delay = 0;
  await tab.locator(".pick").nth(1).click();
  assert.match(await tab.locator("h2").textContent(), /Latents at/);
  await tab.getByRole("button", { name: "heat of latent 7" }).click();
  assert.ok((await tab.locator(".token.hot").count()) > 0);
  await tab.getByLabel("Text", { exact: true }).fill("this must fail");
  await tab.getByText("a text that fails").waitFor();
});

test("steering shows both continuations as text", async () => {
  await at(tab, "#/run/0/latent/layers.2/17");
  await tab.getByRole("slider", { name: "Strength" }).fill("2");
  await tab.getByText("<b>2</b>").waitFor();
  assert.ok(await tab.getByText("there was a cat").isVisible());
});

test("two explainers side by side", async () => {
  await at(tab, "#/run/0/latent/layers.2/17?beside=1");
  await tab.getByRole("combobox", { name: "Right" }).selectOption("contrastive");
  assert.deepEqual(await tab.locator(".pair .explanation h3").allTextContents(), ["default", "contrastive"]);
  assert.match(await hash(), /right=contrastive/);
});

test("the theme is switched and kept", async () => {
  const ground = () => tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await tab.getByRole("button", { name: "Theme" }).click();
  await tab.getByRole("button", { name: "Theme: light" }).click();
  await tab.waitForFunction(() => document.documentElement.dataset.theme === "dark");
  const dark = await ground();
  assert.notEqual(light, dark);
  await tab.reload();
  await settled(tab);
  assert.equal(await ground(), dark);
});

test("two explainers are compared: the latents in which they differ, and one latent on the same windows", async () => {
  const list = asked("/differences?a=default&b=person%3AAda+%3Cb%3E&other=0&score=detection");
  await tab.getByRole("link", { name: "Compare" }).click();
  await list;
  await settled(tab);
  const table = tab.getByRole("region", { name: "Table of differences" });
  assert.equal(await table.locator("tbody tr").count(), 25);
  assert.match(await table.locator("tbody tr").first().textContent(), /0\.90.*0\.10.*0\.800/);
  await tab.getByRole("button", { name: "after" }).click();
  await settled(tab);
  assert.match(await hash(), /offset=25/);
  await tab.getByLabel("Score").selectOption("fuzz");
  await settled(tab);
  assert.equal(await hash(), "#/run/0/compare?score=fuzz", "another question begins at its first page");

  await table.locator("tbody th a").first().click();
  await settled(tab);
  assert.match(await hash(), /latent=layers\.2\/0/);
  const one = tab.getByRole("region", { name: "One latent" });
  assert.match(await one.getByRole("region", { name: "Scores of both" }).textContent(), /detection.*0\.90.*0\.60.*22/);
  const windows = one.locator("ol.windows > li");
  const told = await windows.allTextContents();
  assert.ok(told.length > 15, String(told.length));
  const differ = told.map((text) => /A: . (\w+).*B: . (\w+)/.exec(text.replaceAll("\n", " "))).map((found) => found[1] !== found[2]);
  assert.ok(differ[0] && !differ.at(-1) && differ.lastIndexOf(true) + 1 === differ.filter(Boolean).length, "different verdicts stand first");
  await one.getByRole("button", { name: "Close" }).click();
  await settled(tab);
  assert.equal(await one.count(), 0);

  await at(tab, "#/run/0/latent/layers.2/18");
  await tab.locator("article.latent").getByRole("link", { name: "Compare" }).click();
  await settled(tab);
  assert.equal(await hash(), "#/run/0/compare?latent=layers.2/18");
});

test("a run without two explainers has nothing to compare, and says so", async () => {
  await at(tab, "#/run/1");
  assert.equal(await tab.getByRole("link", { name: "Compare" }).count(), 0);
  await at(tab, "#/run/1/compare");
  assert.match(await tab.locator("main").textContent(), /no two explainers with scores/);
});

const histogram = (name) => tab.locator(".range", { has: tab.getByRole("slider", { name: `${name} from` }) });

test("dragging over a histogram chooses a range, which stands in the address and is taken back", async () => {
  const box = await histogram("density").locator(".drag").boundingBox();
  const y = box.y + box.height / 2;
  await tab.mouse.move(box.x + box.width * 0.7, y);
  await tab.mouse.down();
  await tab.mouse.move(box.x + box.width * 0.5, y, { steps: 4 });
  const request = asked(`histograms?where=${encodeURIComponent("density>=0.0001").replaceAll("%20", "+")}`);
  await tab.mouse.up();
  const where = new URL((await request).url()).searchParams.get("where");
  assert.equal(where, "density>=0.0001 and density<=0.01", "whole bins, whichever way it is dragged");
  await settled(tab);
  assert.equal(await hash(), "#/run/0?dmin=0.0001&dmax=0.01");
  assert.equal(await tab.getByRole("spinbutton", { name: "Density from" }).inputValue(), "0.0001");
  assert.equal(await histogram("density").locator(".picked").count(), 1);
  await tab.getByRole("button", { name: "Clear the range of density" }).click();
  await settled(tab);
  assert.equal(await hash(), "#/run/0");
  assert.equal(await tab.locator(".picked").count(), 0);
});

test("the keyboard chooses a range by sliders, of scores too, one score at a time", async () => {
  await tab.getByRole("slider", { name: "detection from" }).focus();
  await tab.keyboard.press("ArrowRight");
  await settled(tab);
  assert.equal(await hash(), "#/run/0?smin=0.25&score=detection");
  await tab.getByRole("slider", { name: "detection from" }).focus();
  await tab.keyboard.press("ArrowRight");
  await settled(tab);
  assert.equal(await hash(), "#/run/0?smin=0.5&score=detection");
  assert.equal(await tab.getByRole("slider", { name: "detection from" }).getAttribute("aria-valuetext"), "0.5");
  await tab.getByRole("slider", { name: "max to" }).focus();
  await tab.keyboard.press("ArrowLeft");
  await settled(tab);
  assert.equal(await hash(), "#/run/0?smin=0.5&score=detection&mmax=0.75");
  await tab.getByRole("slider", { name: "max from" }).focus();
  await tab.keyboard.press("End");
  await settled(tab);
  assert.match(await hash(), /mmax=0.75&mmin=0.5$/, "the ends stay a bin apart");
});

test("a finger chooses a range, and a tap one bin", async () => {
  await tab.context().close();
  tab = await browser.page({ touch: true, width: 390 });
  await tab.getByText("Filter and histograms").click();  // the table comes first where it is narrow
  const box = await histogram("max").locator(".drag").boundingBox();
  await tab.touchscreen.tap(box.x + box.width * 0.3, box.y + box.height / 2);
  await settled(tab);
  assert.equal(await hash(), "#/run/0?mmin=0.25&mmax=0.5");
  const client = await tab.context().newCDPSession(tab);
  const again = await histogram("max").locator(".drag").boundingBox();
  const y = again.y + again.height / 2;
  const touch = (type, x) => client.send("Input.dispatchTouchEvent", { type, touchPoints: x === undefined ? [] : [{ x: again.x + again.width * x, y }] });
  await touch("touchStart", 0.3);
  await touch("touchMove", 0.5);
  await touch("touchMove", 0.7);
  await touch("touchEnd");
  await settled(tab);
  assert.equal(await hash(), "#/run/0?mmin=0.25&mmax=0.75");
});

test("a judged window leads to the call behind it, its prompt and its reply", async () => {
  await at(tab, "#/run/0/latent/layers.2/18");
  const judged = tab.getByRole("region", { name: "Judgements" });
  await judged.getByText("The call behind it c1", { exact: true }).click();
  await settled(tab);
  const call = judged.locator("li", { hasText: "The call behind it c1" }).locator("details.call").first();
  assert.match(await call.textContent(), /explain.*mock.*system.*window\.__hit.*reply/s);
  await judged.getByText("The call behind it c0", { exact: true }).click();
  await judged.getByText("The run does not keep this call.").waitFor();
  await tab.getByRole("region", { name: "Explanations" }).getByText("The call behind it").first().click();
  await tab.getByRole("region", { name: "Explanations" }).locator("details.call").waitFor();
});
