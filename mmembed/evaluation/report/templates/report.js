"use strict";
// What the other scripts share: the data, the theme, and tables made of arrays. Nothing here, or
// in them, writes markup: text goes through textContent, and through `plain` where Plotly reads
// its own small markup.
const page = (() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const charts = read("charts");
  const media = read("media");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const at = (id) => document.getElementById(id);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const plain = (text, longest = 36) => {
    const end = Math.floor(longest / 3);
    const cut = text.length > longest ? text.slice(0, longest - end - 1) + "…" + text.slice(-end) : text;
    return cut.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  };
  // Of Okabe and Ito (2008), told apart by the colour-blind; a second round is drawn hollow.
  const light = ["#0072b2", "#d55e00", "#009e73", "#aa5c90", "#c98a00", "#3f9ad0"];
  const night = ["#4aa3e0", "#f0803c", "#2fc79a", "#dd93bf", "#f2b632", "#9ad4f5"];
  const colour = (i) => (dark.matches ? night : light)[i % light.length];
  const hollow = (i) => i % (2 * light.length) >= light.length;

  const layout = (extra) => ({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: coarse.matches ? false : "zoom",
    font: { color: css("--ink"), family: "system-ui, sans-serif", size: 12 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--quiet"), activecolor: css("--accent") },
    hoverlabel: { bgcolor: css("--bg"), bordercolor: css("--line"), font: { color: css("--ink") } },
    margin: { l: 45, r: 10, t: 10, b: 40 }, ...extra,
  });
  const axis = (extra) => ({ gridcolor: css("--line"), linecolor: css("--line"), zeroline: false, ...extra });
  // Nothing that sends a chart anywhere, whatever Plotly offers by default; buttons are named.
  const offline = { responsive: true, displaylogo: false, plotlyServerURL: "", showSendToCloud: false, showEditInChartStudio: false, showLink: false };
  const still = { ...offline, displayModeBar: false };
  const explored = { ...offline, modeBarButtons: [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]] };

  const number = (value) => {
    if (value === null) return "–";
    return Math.abs(value) > 1.5 ? value.toFixed(1) : value.toFixed(3);
  };
  const element = (name, text, classes) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (classes) made.className = classes;
    return made;
  };
  const tabulate = (box, header, rows) => {
    const line = (cells, name) => {
      const made = element("tr");
      cells.forEach((cell, i) => {
        const one = element(i === 0 ? "th" : name, cell);
        if (one.tagName === "TH") one.scope = name === "th" ? "col" : "row";
        made.append(one);
      });
      return made;
    };
    const table = element("table", undefined, "plain");
    const head = element("thead");
    head.append(line(header, "th"));
    const body = element("tbody");
    body.append(...rows.map((row) => line(row, "td")));
    table.append(head, body);
    box.replaceChildren(table);
  };
  const options = (select, names) => {
    const before = select.value;
    select.replaceChildren(...names.map((name) => { const made = element("option", name); made.value = name; return made; }));
    if (names.includes(before)) select.value = before;
  };
  const onchange = (ids, draw) => {
    for (const id of ids) if (at(id)) at(id).addEventListener("change", draw);
    dark.addEventListener("change", draw);
  };
  const deepest = () => (dark.matches ? 0.45 : 0.62);
  return { at, axis, charts, colour, css, deepest, element, explored, hollow, layout, media, number, onchange, options, plain, still, tabulate };
})();

// Rows and matrices that are shown by the metric, and by the notion of relevance.
for (const [ids, selector] of [[["metric", "relevance"], ".matrix"], [["change-metric", "change-relevance"], ".changes tbody tr"]]) {
  const selects = ids.map(page.at);
  if (selects.some((select) => !select)) continue;
  const choose = () => {
    const keys = ["metric", "relevance"];
    for (const row of document.querySelectorAll(selector))
      row.hidden = selects.some((select, i) => row.dataset[keys[i]] !== select.value);
  };
  for (const select of selects) select.addEventListener("change", choose);
  choose();
}
