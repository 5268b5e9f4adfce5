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
  for (const [name, to] of Object.entries({ figures: "#/run/0/figures", circuits: "#/run/0/circuits", quiz: hash, text: "#/run/0/text?text=Lily%20had%20a%20big%20cat" })) {
    await at(tab, to);
    await tab.waitForTimeout(700);
    await settled(tab);
    await sound(tab, name);
    await shoot(tab, `real-${name}`);
  }
  assert.deepEqual(failures, []);
});
