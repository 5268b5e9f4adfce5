// Every view, light and dark, wide and narrow: axe, the policy, hostile text, no sideways scrolling.
import { after, before, test } from "node:test";
import { at, open, shoot, sound, views } from "./browser.mjs";

let browser;
before(async () => { browser = await open(); });
after(() => browser.close());

for (const dark of [false, true]) {
  for (const width of [1280, 360]) {
    test(`every view is sound, ${dark ? "dark" : "light"}, ${width} px`, async () => {
      const tab = await browser.page({ dark, width });
      for (const [name, hash] of Object.entries(views)) {
        await at(tab, hash);
        await shoot(tab, `${name}-${dark ? "dark" : "light"}-${width}`);
        await sound(tab, name);
      }
    });
  }
}
