// The points of the charts: where rows are, dimmed where a filter leaves them out, and told at the cursor.
let drawPoints = () => {};
{
  const charts = [...document.querySelectorAll(".plot.site")];
  const { frame } = data;
  const choice = byId("f-outside");
  const value = (key, at) => (data.columns[key].cells[at] ? data.columns[key].cells[at][0] / 1e4 : null);
  const seriesOf = (id) => data.plots[id].series.map(([x, y, look]) => [x, id === "outside" && choice ? choice.value : y, look]);

  // [[x, y, look], ...] of a row in a chart, in its units.
  function places(id, at) {
    const { x: [left, right], y: [low, high], days } = data.plots[id];
    const found = [];
    for (const [x, y, look] of seriesOf(id)) {
      const [a, b] = [x === "day" ? days[at] : value(x, at), value(y, at)];
      if (a === null || b === null) continue;
      found.push([
        frame.left + ((a - left) / (right - left)) * (frame.width - frame.left - frame.right),
        frame.height - frame.bottom - ((b - low) / (high - low)) * (frame.height - frame.top - frame.bottom), look,
      ]);
    }
    return found;
  }

  function told(id, at) {
    const lines = [data.facets.mark.values[data.facets.mark.at[at]]];
    for (const key of new Set(seriesOf(id).flat().filter((item) => Object.hasOwn(data.columns, item)))) {
      if (value(key, at) !== null) lines.push(`${data.columns[key].title} ${(100 * value(key, at)).toFixed(2)}%`);
    }
    if (id === "history" && data.dates[at]) lines.push(data.dates[at]);
    return lines;
  }

  let base = -1;
  let latest = new Set();
  function rings(plot, at) {
    const made = [];
    for (const [row, look] of [[base, "ring pinned"], [at, "ring"]]) {
      for (const [x, y] of row < 0 ? [] : places(plot.id, row)) {
        const ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
        for (const [name, value] of [["cx", x], ["cy", y], ["r", 7], ["class", look]]) ring.setAttribute(name, value);
        made.push(ring);
      }
    }
    plot.querySelector(".rings").replaceChildren(...made);
  }

  // visible: places of the rows that the filters leave, or null where they are the same as before.
  drawPoints = (visible, pinned) => {
    base = pinned;
    latest = visible || latest;
    for (const plot of charts) {
      if (visible) dots(plot);
      rings(plot, -1);
    }
  };

  function dots(plot) {
    const paths = {};
    for (let at = 0; at < data.names.length; at += 1) {
      for (const [x, y, look] of places(plot.id, at)) {
        const name = latest.has(at) ? (data.told[at] ? `told ${look}` : look) : "others";
        paths[name] = `${paths[name] || ""}M${x.toFixed(1)} ${y.toFixed(1)}h0`;
      }
    }
    for (const path of plot.querySelectorAll("path.dots")) path.setAttribute("d", paths[path.dataset.look.replace(" hole", "")] || "");
    // Names are of the points as the page was written.
    const other = choice && plot.id === "outside" && !choice.options[choice.selectedIndex].defaultSelected;
    plot.querySelector(".names").toggleAttribute("hidden", latest.size < data.names.length || Boolean(other));
  }

  for (const plot of charts) {
    const ranks = data.names.map((name, at) => at).filter((at) => places(plot.id, at).length)
      .sort((a, b) => places(plot.id, a)[0][0] - places(plot.id, b)[0][0]);
    const words = (rank) => [data.names[ranks[rank]], ...told(plot.id, ranks[rank])];
    const share = ([x, y]) => [x / frame.width, y / frame.height];
    follow(
      plot, ranks.length, plot.querySelector("svg").getAttribute("aria-label"),
      (rank) => words(rank).join(", "), words,
      (rank) => {
        rings(plot, rank < 0 ? -1 : ranks[rank]);
        return share((rank < 0 ? [] : places(plot.id, ranks[rank]))[0] || [0, 0]);
      },
      (x, y, shape) => {
        let best = 0;
        let least = Infinity;
        ranks.forEach((at, rank) => {
          for (const [a, b] of places(plot.id, at).map(share)) {
            const away = ((a - x) * shape) ** 2 + (b - y) ** 2;
            if (away < least) [best, least] = [rank, away];
          }
        });
        return best;
      },
    );
  }
  if (choice) {
    choice.closest(".chooser").hidden = false;
    choice.addEventListener("change", () => drawPoints(latest, base));
  }
}
