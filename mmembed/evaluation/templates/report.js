"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const palette = ["#4c6ef5", "#e8590c", "#2f9e44", "#c2255c", "#7950f2", "#0c8599", "#f08c00",
    "#868e96", "#a61e4d", "#66a80f", "#1971c2", "#d6336c"];
  const symbols = ["circle", "diamond", "square", "triangle-up"];
  const blank = "data:image/svg+xml," + encodeURIComponent(
    "<svg xmlns='http://www.w3.org/2000/svg' width='72' height='72'><rect width='72' height='72' fill='#8884'/>" +
    "<text x='36' y='40' font-size='11' text-anchor='middle' fill='#888'>no media</text></svg>");
  const options = { responsive: true, displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const layout = (extra) => Object.assign({ modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--quiet"), activecolor: css("--accent") }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: css("--ink"), family: "system-ui, sans-serif" }, margin: { l: 10, r: 10, t: 10, b: 10 } }, extra);

  for (const image of document.querySelectorAll("img[data-i]")) image.src = data.pictures[image.dataset.i] || blank;
  const player = new Audio();
  let playing = null;
  const stop = () => {
    player.pause();
    if (playing) { playing.classList.remove("on"); playing.style.removeProperty("--played"); }
    playing = null;
  };
  for (const button of document.querySelectorAll("button.play")) {
    const sound = data.sounds[button.dataset.i];
    if (!sound) { button.disabled = true; continue; }
    button.addEventListener("click", () => {
      const again = playing === button;
      stop();
      if (again) return;
      playing = button;
      button.classList.add("on");
      player.src = sound;
      player.play().catch(stop);
    });
  }
  player.addEventListener("ended", stop);
  player.addEventListener("timeupdate", () => {
    if (playing && player.duration) playing.style.setProperty("--played", player.currentTime / player.duration);
  });

  const metric = document.getElementById("metric");
  if (metric) metric.addEventListener("change", () => {
    for (const figure of document.querySelectorAll(".matrix")) figure.hidden = figure.dataset.metric !== metric.value;
  });

  const drawMap = () => {
    const by = document.getElementById("colour").value;
    const where = document.getElementById("places").value;
    const labels = [...new Set(data.map.map((p) => p[by]))].sort();
    const modalities = [...new Set(data.map.map((p) => p.modality))];
    const traces = labels.map((label, i) => {
      const points = data.map.filter((p) => p[by] === label);
      return { type: "scatter", mode: "markers", name: plain(label), x: points.map((p) => p[where][0]), y: points.map((p) => p[where][1]),
        customdata: points.map((p) => data.map.indexOf(p)), hoverinfo: "none",
        marker: { size: 7, opacity: 0.75, color: palette[i % palette.length],
          symbol: points.map((p) => symbols[modalities.indexOf(p.modality) % symbols.length]) } };
    });
    const axis = { visible: false };
    Plotly.react("map", traces, layout({ xaxis: axis, yaxis: { ...axis, scaleanchor: "x" }, hovermode: "closest",
      showlegend: labels.length <= 30, legend: { orientation: "h", y: -0.02, itemsizing: "constant" } }), options);
  };
  const peek = document.getElementById("peek");
  const show = (point) => {
    const image = document.createElement("img");
    image.src = data.pictures[point.i] || blank;
    image.alt = point.path;
    const name = document.createElement("p");
    name.textContent = point.label + " · " + point.modality;
    const path = document.createElement("p");
    path.className = "quiet";
    path.textContent = point.path;
    peek.replaceChildren(image, name, path);
  };
  drawMap();
  document.getElementById("map").on("plotly_hover", (event) => show(data.map[event.points[0].customdata]));
  document.getElementById("map").on("plotly_click", (event) => show(data.map[event.points[0].customdata]));
  for (const id of ["colour", "places"]) document.getElementById(id).addEventListener("change", drawMap);

  const who = document.getElementById("who");
  const drawConfusion = () => {
    const found = data.confusion[Number(who.value)];
    const names = found.labels.map((name) => "\u200b" + plain(name));
    const shares = found.confusion.map((row) => { const sum = row.reduce((a, b) => a + b, 0) || 1; return row.map((v) => v / sum); });
    Plotly.react("confusion", [{ type: "heatmap", z: shares, x: names, y: names, text: found.confusion,
      texttemplate: names.length <= 20 ? "%{text}" : "", hovertemplate: "true %{y}, said %{x}: %{text}<extra></extra>",
      colorscale: dark.matches ? [[0, "#191e29"], [1, "#6e87ff"]] : [[0, "#ffffff"], [1, "#3f5bd8"]], zmin: 0, zmax: 1, showscale: false }],
      layout({ xaxis: { title: { text: "said" }, type: "category" },
        yaxis: { title: { text: "true" }, type: "category", autorange: "reversed" }, margin: { l: 60, r: 10, t: 10, b: 50 } }), { ...options, displayModeBar: false });
  };
  if (who) { drawConfusion(); who.addEventListener("change", drawConfusion); }
  dark.addEventListener("change", () => { drawMap(); if (who) drawConfusion(); });
})();
