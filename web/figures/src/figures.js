// Draws every figure of a report: each <figure data-figure="NAME"> gets the Vega-Lite specification in
// <script type="application/json" id="figure-NAME">. Nothing is loaded from anywhere.
import embed from "vega-embed";

const dark = window.matchMedia("(prefers-color-scheme: dark)");

/** No figure may fetch anything: all its data are inside. */
const loader = {
  load: () => Promise.reject(new Error("a figure of a report loads nothing")),
  sanitize: () => Promise.reject(new Error("a figure of a report loads nothing")),
};

async function draw(figure) {
  const name = figure.dataset.figure;
  const place = figure.querySelector(".drawing");
  const spec = JSON.parse(document.getElementById(`figure-${name}`).textContent);
  try {
    await embed(place, spec, {
      actions: { export: { png: true, svg: true }, source: true, compiled: false, editor: false },
      downloadFileName: name,
      loader,
      renderer: "svg",
      theme: dark.matches ? "dark" : undefined,
      config: { background: "transparent" },
      tooltip: { sanitize: (value) => String(value).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`) },
    });
  } catch (error) {
    place.textContent = `This figure cannot be drawn: ${error.message}`;
  }
}

const drawAll = () => document.querySelectorAll("figure[data-figure]").forEach(draw);
drawAll();
dark.addEventListener("change", drawAll);
