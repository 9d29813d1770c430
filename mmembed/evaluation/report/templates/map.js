// The map of the vectors: colours, the point that is looked at, and walking by keys.
(() => {
  const { at, charts, colour, css, explored, hollow, layout, onchange, plain } = page;
  const symbols = ["circle", "diamond", "square", "triangle-up"];
  const most = 12;
  const points = charts.map.map((point) => ({ ...point, ...charts.items[point.i] }));
  let looked = -1;

  // Names of groups, most frequent first; from 12 on they share one, as does what has no label.
  const grouped = (by) => {
    const counts = new Map();
    for (const point of points) if (point[by] !== null) counts.set(point[by], (counts.get(point[by]) || 0) + 1);
    const names = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a));
    const kept = names.length > most ? names.slice(0, most - 1) : names;
    kept.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    const groups = kept.map((name) => ({ name: plain(name), has: (value) => value === name }));
    const rest = names.length - kept.length;
    const inside = new Set(kept);
    if (rest) groups.push({ name: rest + " other labels", grey: true, has: (value) => value !== null && !inside.has(value) });
    if (points.some((point) => point[by] === null)) groups.push({ name: "no label", grey: true, has: (value) => value === null });
    return groups;
  };

  const ring = (where) => ({
    mode: "markers", x: looked < 0 ? [] : [points[looked][where][0]], y: looked < 0 ? [] : [points[looked][where][1]],
    hoverinfo: "skip", showlegend: false, name: "looked at",
    marker: { symbol: "circle-open", size: 18, color: css("--ink"), line: { width: 2.5 } },
  });

  const draw = () => {
    const by = at("colour").value;
    const where = at("places").value;
    const groups = grouped(by);
    const traces = groups.map((group, i) => {
      const mine = points.map((point, row) => row).filter((row) => group.has(points[row][by]));
      const open = !group.grey && hollow(i) ? "-open" : "";
      return {
        type: "scatter", mode: "markers", name: group.name, x: mine.map((row) => points[row][where][0]),
        y: mine.map((row) => points[row][where][1]), customdata: mine, hoverinfo: "none",
        marker: {
          size: (group.grey ? 6 : 8) - (at("map").clientWidth < 500 ? 2 : 0), opacity: group.grey ? 0.45 : 0.8, color: group.grey ? css("--quiet") : colour(i),
          symbol: mine.map((row) => symbols[charts.fields.indexOf(points[row].field) % symbols.length] + open),
          line: { width: open ? 1.8 : 0.6, color: open ? undefined : css("--bg") },
        },
      };
    });
    const bare = { visible: false };
    Plotly.react("map", [...traces.reverse(), ring(where)], layout({
      xaxis: bare, yaxis: { ...bare, scaleanchor: "x" }, hovermode: "closest", margin: { l: 0, r: 0, t: 0, b: 0 },
      legend: { orientation: "h", y: -0.02, itemsizing: "constant", traceorder: "reversed" },
    }), explored);
  };

  const look = (row, mark) => {
    looked = row;
    at("peek").replaceChildren(...cards.card(points[row].i));
    const last = at("map").data.length - 1;
    const place = points[row][at("places").value];
    if (mark) Plotly.restyle("map", { x: [[place[0]]], y: [[place[1]]] }, [last]);
  };

  // The nearest point in the quarter that an arrow shows to; what is beside the way counts twice.
  const next = (dx, dy) => {
    const where = at("places").value;
    const [x, y] = points[looked][where];
    let best = looked;
    let least = Infinity;
    points.forEach((point, row) => {
      const along = (point[where][0] - x) * dx + (point[where][1] - y) * dy;
      const beside = Math.abs((point[where][0] - x) * dy) + Math.abs((point[where][1] - y) * dx);
      if (along > 0 && beside <= along && along + 2 * beside < least) [best, least] = [row, along + 2 * beside];
    });
    return best;
  };
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const jumps = { Home: () => 0, End: () => points.length - 1, PageDown: () => (looked + 1) % points.length, PageUp: () => (looked + points.length - 1) % points.length };
  at("map-keys").addEventListener("keydown", (event) => {
    if (event.target !== at("map-keys") || event.ctrlKey || event.metaKey || event.altKey) return;
    const button = at("peek").querySelector("button.play");
    if (event.key === "Enter" && button) cards.play(button);
    else if (looked < 0 && (event.key in arrows || event.key in jumps)) look(0, true);
    else if (event.key in arrows) look(next(...arrows[event.key]), true);
    else if (event.key in jumps) look(jumps[event.key](), true);
    else return;
    event.preventDefault();
  });

  if (points.every((point) => point.label === null)) at("colour").value = "field";
  draw();
  at("map").on("plotly_hover", (event) => { const row = event.points[0].customdata; if (row !== undefined) look(row, false); });
  at("map").on("plotly_click", (event) => { const row = event.points[0].customdata; if (row !== undefined) look(row, true); });
  onchange(["colour", "places"], draw);
})();
