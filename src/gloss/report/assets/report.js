// Shows the table of latents from the JSON beside it. Texts of the run reach the page as text nodes only.
//
// data: explainers [name], hookpoints [name], columns [{scorer, judge}], texts [token text], left_out, tau,
//   latents [{h, l, d density, m max, w windows, n firings, s status, x place in details,
//             e: per explainer null or {t text, f failure, s: per column null or [ba, low, high, tp, fn, tn, fp, failed]}}],
//   details [{max, examples [window], silent [window], lists [{n name, v what values are, e [[text, value]]}],
//             judged [{e, c, w [window]}]}],
//   window {t [text], a [place, value, ...], m [marked place], q decile, x max, v verdict, y right answer, p probability}
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const PAGE = 100;
  const severalJudges = (scorer) => data.columns.filter((c) => c.scorer === scorer).length > 1;
  const columnName = (c) => (severalJudges(c.scorer) ? `${c.scorer} (${c.judge})` : c.scorer);
  const state = { explainer: 0, hookpoint: -1, text: "", detailed: false, key: "", descending: true, shown: PAGE };
  const opened = new Set();

  // --- small makers -------------------------------------------------------------------------------------------------
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }
  function svg(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }
  const fixed = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));
  const percent = (share) => (share === null || share === undefined ? "–" : `${Number((100 * share).toPrecision(3))} %`);
  const plain = (value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(4)).toLocaleString("en"));

  // --- columns ------------------------------------------------------------------------------------------------------
  const explained = (latent) => latent.e[state.explainer];
  const scoreOf = (latent, c) => (explained(latent) ? explained(latent).s[c] : null);
  const columns = [];
  if (data.hookpoints.length > 1) columns.push({ key: "h", name: "Hookpoint", value: (x) => x.h, show: (x) => data.hookpoints[x.h] });
  columns.push(
    { key: "l", name: "Latent", number: true, value: (x) => x.l, show: (x) => String(x.l) },
    { key: "d", name: "Density", number: true, value: (x) => x.d, show: (x) => percent(x.d) },
    { key: "m", name: "Max", number: true, value: (x) => x.m, show: (x) => plain(x.m) },
    { key: "w", name: "Windows", number: true, value: (x) => x.w, show: (x) => plain(x.w) },
    { key: "t", name: "Explanation", style: "explanation", value: (x) => (explained(x) && explained(x).t ? explained(x).t.toLowerCase() : null), show: explanationOf },
  );
  data.columns.forEach((c, i) => columns.push({
    key: `s${i}`, name: columnName(c), style: "score", value: (x) => (scoreOf(x, i) ? scoreOf(x, i)[0] : null), show: (x) => scoreCell(scoreOf(x, i)), descending: true,
  }));

  function explanationOf(latent) {
    const e = explained(latent);
    if (e && e.f) return make("span", { class: "failure" }, `no explanation: ${e.f}`);
    if (e && e.t) return e.t;
    return make("span", { class: "none" }, latent.s ? latent.s.replace("_", " ") : "not explained");
  }

  function intervalBar(value, low, high) {
    const x = (v) => 3 + 94 * Math.min(1, Math.max(0, v));
    const bar = svg("svg", { class: "interval", viewBox: "0 0 100 14", "aria-hidden": "true" },
      svg("line", { class: "grid", x1: 3, y1: 7, x2: 97, y2: 7 }), svg("line", { class: "chance", x1: 50, y1: 2, x2: 50, y2: 12 }));
    if (low !== null) bar.append(svg("line", { class: "whisker", x1: x(low), y1: 7, x2: x(high), y2: 7 }));
    bar.append(svg("circle", { cx: x(value), cy: 7, r: 3 }));
    return bar;
  }

  function scoreCell(score) {
    if (!score) return make("span", { class: "none" }, "–");
    const [value, low, high, tp, fn, tn, fp, failed] = score;
    const box = make("span", {});
    if (value === null) box.append(make("span", { class: "none" }, "undefined"));
    else {
      box.append(intervalBar(value, low, high), make("b", {}, fixed(value)));
      box.title = `score ${fixed(value)} [${fixed(low)}, ${fixed(high)}]; yes where right: ${tp} of ${tp + fn}; no where right: ${tn} of ${tn + fp}`;
    }
    box.append(make("span", { class: "counts" }, `${tp}/${tp + fn} · ${tn}/${tn + fp}${failed ? ` · ${failed} failed` : ""}`));
    return box;
  }

  // --- windows ------------------------------------------------------------------------------------------------------
  function tokensOf(window, max, reading) {
    const box = make("div", { class: "tokens" });
    const activation = new Map();
    for (let i = 0; i < window.a.length; i += 2) activation.set(window.a[i], window.a[i + 1]);
    const marked = new Set(window.m);
    window.t.forEach((text, place) => {
      const value = activation.get(place) || 0;
      if (!value && !marked.has(place)) {
        box.append(data.texts[text]);
        return;
      }
      const token = make("span", marked.has(place) ? { class: "marked" } : {}, data.texts[text]);
      if (value) {
        const show = () => { reading.textContent = `here ${plain(value)}`; };
        token.style.backgroundColor = `rgba(var(--hot), ${(0.14 + 0.76 * Math.min(1, value / (max || value))).toFixed(2)})`;
        token.title = `activation ${plain(value)}`;
        token.addEventListener("pointerenter", show);
        token.addEventListener("click", show);
      } else token.title = "marked, but silent";
      box.append(token);
    });
    const usual = reading.textContent;
    box.addEventListener("pointerleave", () => { reading.textContent = usual; });
    return box;
  }

  function windowRow(window, max) {
    // What the label says until the pointer, or a finger, is on a token that fires.
    const reading = make("span", {}, window.q ? `decile ${window.q} · max ${plain(window.x)}` : "silent");
    const label = make("div", { class: "label" });
    if (window.v) {
      const kind = window.v === "right" ? "right" : "wrong";
      label.append(make("span", { class: `chip ${kind}` }, window.v === "right" ? (window.y ? "right: yes" : "right: no") : window.v), make("br"));
    }
    label.append(reading);
    if (window.p !== undefined) label.append(make("br"), `p(yes) ${fixed(window.p)}`);
    return make("div", { class: "window" }, label, tokensOf(window, max, reading));
  }

  function section(title, windows, max) {
    if (!windows.length) return [];
    return [make("h3", {}, title), make("div", {}, ...windows.map((w) => windowRow(w, max)))];
  }

  function listRow(list) {
    const entries = list.e.flatMap(([text, value]) => [" ", make("code", {}, data.texts[text]), make("span", { class: "range" }, ` ${fixed(value)}`)]);
    return make("p", { class: "list" }, make("span", { class: "tag", title: list.v }, list.n), ...entries);
  }

  function detailOf(latent) {
    const detail = data.details[latent.x];
    const box = make("td", { colspan: columns.length + 1 });
    if (data.explainers.length > 1) {
      box.append(make("h3", {}, "All explanations"));
      data.explainers.forEach((name, i) => {
        const e = latent.e[i];
        if (e) box.append(make("p", {}, make("span", { class: "tag" }, name), " ", e.f ? `no explanation: ${e.f}` : e.t));
      });
    }
    if (detail.lists.length) box.append(make("h3", {}, "What it writes, and the latents nearest to it"), ...detail.lists.map(listRow));
    box.append(...section(`Examples, strongest first (underlined: at least ${Math.round(100 * data.tau)} % of the window's maximum)`, detail.examples, detail.max));
    for (const judged of detail.judged) {
      if (judged.e !== state.explainer) continue;
      const c = data.columns[judged.c];
      const wrong = judged.w.filter((w) => w.v !== "right").length;
      box.append(...section(`${c.scorer}, judged by ${c.judge}${wrong ? ", wrong ones first" : ", none of these wrong"}`, judged.w, detail.max));
    }
    box.append(...section("Windows in which it is silent", detail.silent, detail.max));
    return make("tr", { class: "detail" }, box);
  }

  // --- table --------------------------------------------------------------------------------------------------------
  const table = document.getElementById("table");
  const more = document.getElementById("more");

  function toggle(latent, row, button) {
    const open = !opened.has(latent);
    if (open) {
      opened.add(latent);
      row.after(detailOf(latent));
    } else {
      opened.delete(latent);
      row.nextElementSibling.remove();
    }
    button.setAttribute("aria-expanded", String(open));
  }

  function rowsOf(latent) {
    const row = make("tr", { class: "latent" });
    const cell = make("td", { class: "open" });
    row.append(cell);
    for (const column of columns) {
      const style = [column.number ? "num" : "", column.style || ""].join(" ").trim();
      const td = make("td", { class: style, "data-label": column.name });
      td.append(column.show(latent));
      row.append(td);
    }
    if (latent.x === undefined) return [row];
    const name = `${data.hookpoints[latent.h]} latent ${latent.l}`;
    const button = make("button", { type: "button", "aria-expanded": String(opened.has(latent)), "aria-label": `Examples of ${name}`, title: "Examples" });
    button.addEventListener("click", () => toggle(latent, row, button));
    cell.append(button);
    return opened.has(latent) ? [row, detailOf(latent)] : [row];
  }

  function matches(latent) {
    if (state.hookpoint >= 0 && latent.h !== state.hookpoint) return false;
    if (state.detailed && latent.x === undefined) return false;
    if (!state.text) return true;
    if (/^\d+$/.test(state.text)) return String(latent.l) === state.text || textOf(latent).includes(state.text);
    return textOf(latent).includes(state.text);
  }
  const textOf = (latent) => (explained(latent) ? `${explained(latent).t} ${explained(latent).f}` : latent.s || "").toLowerCase();

  function sorted(latents) {
    const column = columns.find((c) => c.key === state.key);
    if (!column) return latents;
    const sign = state.descending ? -1 : 1;
    const missing = (v) => v === null || v === undefined;
    return latents
      .map((latent, place) => ({ latent, place, value: column.value(latent) }))
      .sort((a, b) => {
        if (missing(a.value) || missing(b.value)) return missing(a.value) - missing(b.value) || a.place - b.place;
        if (a.value < b.value) return -sign;
        return a.value > b.value ? sign : a.place - b.place;
      })
      .map((item) => item.latent);
  }

  function showHead() {
    const row = make("tr", {}, make("th", { class: "open", scope: "col" }, ""));
    for (const column of columns) {
      const button = make("button", { type: "button" }, column.name);
      const sort = state.key === column.key ? (state.descending ? "descending" : "ascending") : "none";
      button.addEventListener("click", () => {
        state.descending = state.key === column.key ? !state.descending : Boolean(column.number || column.descending);
        if (column.key === "l" && state.key !== "l") state.descending = false;
        state.key = column.key;
        show();
        table.querySelector(`thead [data-key="${column.key}"] button`).focus();
      });
      row.append(make("th", { scope: "col", "aria-sort": sort, "data-key": column.key, class: column.number ? "num" : "" }, button));
    }
    table.tHead.replaceChildren(row);
  }

  function show() {
    const found = sorted(data.latents.filter(matches));
    const rows = found.slice(0, state.shown);
    showHead();
    table.tBodies[0].replaceChildren(...rows.flatMap(rowsOf));
    const left = found.length - rows.length;
    more.hidden = left === 0;
    more.textContent = `Show ${Math.min(PAGE, left)} more of ${left.toLocaleString("en")}`;
    const withExamples = data.details.length < data.latents.length ? `; ${data.details.length.toLocaleString("en")} have their windows in this page (the best, the worst and random ones)` : "";
    const leftOut = data.left_out ? `; ${data.left_out.toLocaleString("en")} more are in scores.csv only` : "";
    document.getElementById("count").textContent =
      `${found.length.toLocaleString("en")} of ${data.latents.length.toLocaleString("en")} latents${withExamples}${leftOut}.`;
  }

  function fillSelect(id, names, first) {
    const select = document.getElementById(id);
    if (first) select.append(make("option", { value: -1 }, first));
    names.forEach((name, i) => select.append(make("option", { value: i }, name)));
    document.getElementById(`${id}-label`).hidden = names.length < 2;
    select.addEventListener("change", () => { state[id] = Number(select.value); restart(); });
  }
  function restart() {
    state.shown = PAGE;
    show();
  }

  fillSelect("hookpoint", data.hookpoints, "all");
  fillSelect("explainer", data.explainers, "");
  const search = document.getElementById("search");
  search.addEventListener("input", () => { state.text = search.value.trim().toLowerCase(); restart(); });
  const detailed = document.getElementById("detailed");
  document.getElementById("detailed-label").hidden = data.details.length === 0 || data.details.length === data.latents.length;
  detailed.addEventListener("change", () => { state.detailed = detailed.checked; restart(); });
  document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => { state.shown += PAGE; show(); });
  show();
})();
