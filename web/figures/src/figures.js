// Draws every figure of a report: each <figure data-figure="NAME"> gets the Vega-Lite specification in
// <script type="application/json" id="figure-NAME">. The page of gloss serve calls window.glossFigure instead. Nothing is
// loaded from anywhere, and expressions are interpreted: no code is made of them.
import embed from "vega-embed";

const dark = window.matchMedia("(prefers-color-scheme: dark)");

/** No figure may fetch anything: all its data are inside. */
const loader = {
  load: () => Promise.reject(new Error("a figure of a report loads nothing")),
  sanitize: () => Promise.reject(new Error("a figure of a report loads nothing")),
};

async function draw(place, spec, name, options) {
  try {
    return await embed(place, spec, {
      ast: true,
      actions: { export: { png: true, svg: true }, source: true, compiled: false, editor: false },
      downloadFileName: name,
      loader,
      renderer: "svg",
      theme: dark.matches ? "dark" : undefined,
      config: { background: "transparent" },
      tooltip: { sanitize: (value) => String(value).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`) },
      ...options,
    });
  } catch (error) {
    place.textContent = `This figure cannot be drawn: ${error.message}`;
  }
}

const drawAll = () =>
  document.querySelectorAll("figure[data-figure]").forEach((figure) => {
    const name = figure.dataset.figure;
    draw(figure.querySelector(".drawing"), JSON.parse(document.getElementById(`figure-${name}`).textContent), name);
  });
window.glossFigure = draw;
drawAll();
dark.addEventListener("change", drawAll);
