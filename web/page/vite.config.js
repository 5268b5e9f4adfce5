// The page and its files, with names that the server knows. GLOSS_PAGE_OUT: another folder than the committed one.
import { readFileSync } from "node:fs";
import { defineConfig } from "vite";

const licence = readFileSync("node_modules/preact/LICENSE", "utf8").trim();

export default defineConfig({
  base: "/",
  publicDir: false,
  build: {
    outDir: process.env.GLOSS_PAGE_OUT ?? "../../src/gloss/dashboard/assets",
    emptyOutDir: false,
    assetsInlineLimit: 0,
    modulePreload: false,
    target: "es2022",
    rollupOptions: {
      output: { entryFileNames: "assets/page.js", assetFileNames: "assets/page[extname]" },
    },
  },
  plugins: [
    {
      // The server's /assets/ is the same folder as its /. Preact's licence wants to be where its code is.
      name: "flat",
      enforce: "post",
      generateBundle: {
        order: "post",
        handler(_, bundle) {
          for (const file of Object.values(bundle)) {
            file.fileName = file.fileName.replace(/^assets\//, "");
            if (file.type === "chunk") file.code = `/* With Preact:\n${licence}\n*/\n${file.code}`;
          }
        },
      },
    },
  ],
});
