// Recall curves, ranks and confusion matrices.
(() => {
  const { at, axis, charts, colour, css, deepest, element, layout, number, onchange, options, plain, still, tabulate } = page;
  const dashes = ["solid", "dash", "dot", "dashdot"];
  const place = (field) => charts.fields.indexOf(field);
  const name = (row) => row.query + " → " + row.target;
  const chosen = () => charts.retrieval.filter((row) => row.relevance === at("relevance").value);

  const drawCurves = () => {
    const rows = chosen();
    const line = (row) => ({ color: colour(place(row.query)), dash: dashes[place(row.target) % dashes.length] });
    const faint = rows.map((row) => ({
      x: row.k, y: row.chance, mode: "lines", line: { ...line(row), width: 1 }, opacity: 0.4,
      legendgroup: name(row), showlegend: false, hoverinfo: "skip", name: "chance " + plain(name(row)),
    }));
    const bold = rows.map((row) => ({
      x: row.k, y: row.R, mode: "lines", line: { ...line(row), width: 2.25 }, name: plain(name(row)), legendgroup: name(row),
      meta: plain(name(row)), hovertemplate: "%{meta}<br>R@%{x}: %{y:.3f}<extra></extra>",
    }));
    const last = Math.max(...rows.map((row) => row.k[row.k.length - 1]));
    const ticks = [1, 2, 5, 10, 20, 50, 100].filter((k) => k <= last);
    Plotly.react("curves", [...faint, ...bold], layout({
      xaxis: axis({ type: "log", tickvals: ticks, ticktext: ticks.map(String) }),
      yaxis: axis({ range: [0, 1.02], tickformat: ".1f" }), legend: { orientation: "h", y: -0.1, yanchor: "top" },
    }), still);
    const cuts = [...new Set(rows.flatMap((row) => row.k))].sort((a, b) => a - b);
    tabulate(at("curves-table"), ["k", ...rows.map(name)], cuts.map((k) =>
      [String(k), ...rows.map((row) => (row.k.includes(k) ? number(row.R[row.k.indexOf(k)]) : "–"))]));
  };

  const drawRanks = () => {
    const row = chosen().find((each) => name(each) === at("hist").value);
    const bins = row.upto.map((upto, i) => {
      const from = i ? row.upto[i - 1] + 1 : 1;
      return from === upto ? String(upto) : from + "–" + upto;
    });
    const sum = row.queries.reduce((a, b) => a + b, 0) || 1;
    Plotly.react("ranks", [{
      type: "bar", x: bins, y: row.queries.map((count) => count / sum), customdata: row.queries,
      marker: { color: colour(place(row.query)) }, hovertemplate: "rank %{x}: %{customdata} queries, %{y:.1%}<extra></extra>",
    }], layout({
      xaxis: axis({ type: "category", title: { text: "rank" }, tickangle: bins.length > 8 ? -40 : 0, automargin: true }),
      yaxis: axis({ tickformat: ".0%", rangemode: "tozero" }), bargap: 0.15,
    }), still);
    tabulate(at("ranks-table"), ["rank", "queries", "share"],
      bins.map((bin, i) => [bin, String(row.queries[i]), (100 * row.queries[i] / sum).toFixed(1) + " %"]));
  };

  if (at("curves")) {
    const drawAll = () => {
      options(at("hist"), chosen().map(name));
      drawCurves();
      drawRanks();
    };
    drawAll();
    onchange(["relevance"], drawAll);
    onchange(["hist"], drawRanks);
  }

  // Between surface and accent, never so near to it that a count can't be read on it.
  const mix = (share) => {
    const [from, to] = [css("--surface"), css("--accent")].map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    return "rgb(" + from.map((value, i) => Math.round(value + share * (to[i] - value))).join(",") + ")";
  };
  const drawConfusion = () => {
    const row = charts.classification.find((each) =>
      each.field === at("class-field").value && each.method === at("class-method").value);
    const drawn = row && row.confusion !== null;
    at("confusion").hidden = !drawn;
    at("too-many").hidden = drawn;
    at("confusion").closest(".pair").classList.toggle("alone", !drawn);
    at("class-setting").textContent = row ? row.setting + ". " + row.protocol + "." : "";
    at("errors").replaceChildren();
    if (!row) {
      at("too-many").textContent = "Not scored: this method has nothing to learn from here.";
      return;
    }
    at("too-many").textContent = row.classes + " classes are too many for a matrix that can be read; the most frequent errors are listed.";
    if (row.errors.length)
      tabulate(at("errors"), ["true", "said", "rows"], row.errors.map(([truth, said, rows]) => [truth, said, Number.isInteger(rows) ? String(rows) : number(rows)]));
    else at("errors").append(element("p", "None: every row was right.", "quiet"));
    if (!drawn) return;
    const names = row.labels.map((label) => plain(label, 24));
    const places = names.map((_, i) => i);
    const ticks = { tickvals: places, ticktext: names, automargin: true, showgrid: false };
    const shares = row.confusion.map((counts) => { const sum = counts.reduce((a, b) => a + b, 0) || 1; return counts.map((v) => v / sum); });
    const text = row.confusion.map((counts) => counts.map((v) => (v === 0 ? "" : Number.isInteger(v) ? String(v) : v.toFixed(1))));
    Plotly.react("confusion", [{
      type: "heatmap", z: shares, x: places, y: places, text, customdata: names.map((truth) => names.map((said) => [truth, said])), textfont: { color: css("--ink") }, texttemplate: names.length <= 16 ? "%{text}" : "", xgap: 1, ygap: 1,
      hovertemplate: "true %{customdata[0]}, said %{customdata[1]}: %{text} (%{z:.1%})<extra></extra>",
      colorscale: [[0, css("--surface")], [0.001, mix(0.1)], [0.25, mix(0.28)], [1, mix(deepest())]], zmin: 0, zmax: 1, showscale: false,
    }], layout({
      xaxis: axis({ title: { text: "said" }, ...ticks }),
      yaxis: axis({ title: { text: "true" }, autorange: "reversed", ...ticks }),
    }), still);
  };
  if (at("confusion")) {
    drawConfusion();
    onchange(["class-field", "class-method"], drawConfusion);
  }
})();
