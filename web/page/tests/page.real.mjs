// The page on a real server: GLOSS_URL=http://localhost:8080/ npm run test:real
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { at, open, settled, shoot, sound } from "./browser.mjs";

let browser;
before(async () => {
  assert.ok(process.env.GLOSS_URL, "set GLOSS_URL to the address that gloss serve prints");
  browser = await open();
});
after(() => browser?.close());

test("the views of a real run are sound, and none of their requests fails", async () => {
  const tab = await browser.page({});
  const failures = [];
  tab.on("response", (response) => { if (response.status() >= 400) failures.push(`${response.status()} ${response.url()}`); });
  await at(tab, "#/run/0?sort=explanation");
  assert.ok((await tab.locator("table.latents tbody tr").count()) > 0, "no rows");
  await sound(tab, "overview");
  await shoot(tab, "real-overview");
  await tab.keyboard.press("j");
  await tab.keyboard.press("Enter");
  await tab.waitForSelector("article.latent");
  await settled(tab);
  await tab.getByText("Prompts and replies").click();
  await settled(tab);
  await sound(tab, "latent");
  await shoot(tab, "real-latent");
  const hash = await tab.evaluate(() => location.hash.replace(/\?.*/, "").replace("/latent/", "/quiz/"));
  for (const [name, to] of Object.entries({ figures: "#/run/0/figures", circuits: "#/run/0/circuits", compare: "#/run/0/compare", ranged: "#/run/0?dmin=0.001", quiz: hash, text: "#/run/0/text?text=Lily%20had%20a%20big%20cat" })) {
    await at(tab, to);
    await tab.waitForTimeout(700);
    await settled(tab);
    await sound(tab, name);
    await shoot(tab, `real-${name}`);
  }
  assert.deepEqual(failures, []);
});

test("what a person says of a real run is kept: GLOSS_WRITE=1, on a run that may be changed", { skip: !process.env.GLOSS_WRITE }, async () => {
  const tab = await browser.page({ path: "#/run/0?sort=explanation" });
  const hash = await tab.locator("table.latents tbody th a").first().getAttribute("href");
  await at(tab, hash.replace(/\?.*/, "").replace("/latent/", "/quiz/"));
  await tab.getByLabel("Your name").fill("Tester");
  await tab.getByRole("textbox", { name: "Your explanation" }).fill("words that <b>end</b> a sentence");
  await tab.getByRole("button", { name: "Keep it" }).click();
  await tab.getByText("Kept as person:Tester").waitFor();
  await settled(tab);
  const yes = tab.getByRole("radio", { name: "yes" });
  for (let i = 0; i < (await yes.count()); i++) await yes.nth(i).check();
  await tab.getByRole("button", { name: /^Answer \d+ of/ }).click();
  await tab.getByText(/right · .* kept as person:Tester/).waitFor();
  await sound(tab, "quiz");
  await shoot(tab, "real-quiz-result");
  await tab.getByRole("link", { name: "See the latent" }).click();
  await tab.waitForSelector("article.latent");
  await settled(tab);
  assert.ok(await tab.getByText("words that <b>end</b> a sentence").first().isVisible());
  assert.ok(await tab.getByRole("heading", { name: /^detection person:Tester/ }).isVisible());
});

test("a real model continues a prompt, steered", async (t) => {
  const tab = await browser.page({ path: "#/run/0/latent/layers.2/17" });
  if ((await tab.getByRole("heading", { name: "Steering" }).count()) === 0) return t.skip("no --model");
  await tab.getByRole("button", { name: "Continue the prompt" }).click();
  await tab.getByRole("heading", { name: "Without" }).waitFor();
  const said = await tab.locator("section[aria-label=Steering] pre").allTextContents();
  assert.ok(said.length === 2 && said.every((text) => text.length > 20), String(said));
});
