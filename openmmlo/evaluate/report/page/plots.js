// A cursor over charts that have a class a mark: by pointer, or as a slider by arrow keys.
const className = (rank) => data.classes[rank][0];
const percentOf = (share) => (share === null ? "not tested" : `${(100 * share).toFixed(1)}%`);
const groupOf = (rank) => (data.classes[rank][3] < 0 ? "" : data.groups[data.classes[rank][3]]);

function follow(plot, size, label, words, place, rankAt) {
  // words(rank): text of a class; place(rank): [x, y] in shares of the frame, having drawn the cursor; rankAt(x, y).
  const frame = plot.querySelector("svg.frame");
  const tip = plot.querySelector(".tip");
  let at = 0;

  function show(rank) {
    at = Math.min(size - 1, Math.max(0, rank));
    const [x, y] = place(at);
    const [title, ...rest] = words(at);
    tip.replaceChildren(element("bdi", {}, title));
    for (const line of rest) tip.append(element("br"), line);
    tip.hidden = false;
    const box = frame.getBoundingClientRect();
    const outer = plot.getBoundingClientRect();
    const left = box.left - outer.left + x * box.width;
    const top = box.top - outer.top + y * box.height;
    tip.style.left = `${Math.max(0, Math.min(outer.width - tip.offsetWidth, left - tip.offsetWidth / 2))}px`;
    tip.style.top = `${top - tip.offsetHeight - 12 < -8 ? top + 14 : top - tip.offsetHeight - 12}px`;
    plot.setAttribute("aria-valuenow", String(at + 1));
    plot.setAttribute("aria-valuetext", words(at).join(", "));
  }

  function hide() {
    tip.hidden = true;
    place(-1);
  }

  plot.tabIndex = 0;
  plot.setAttribute("role", "slider");
  plot.setAttribute("aria-label", label);
  plot.setAttribute("aria-valuemin", "1");
  plot.setAttribute("aria-valuemax", String(size));
  plot.setAttribute("aria-valuenow", "1");
  plot.setAttribute("aria-valuetext", words(0).join(", "));
  const pointed = (event) => {
    const box = frame.getBoundingClientRect();
    show(rankAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, box.width / box.height));
  };
  plot.addEventListener("pointermove", pointed);
  plot.addEventListener("click", pointed);
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("focus", () => { if (plot.matches(":focus-visible")) show(at); });
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.round(size / 10));
    const moves = {
      ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1,
      PageUp: at - page, PageDown: at + page, Home: 0, End: size - 1,
    };
    if (event.key in moves) show(moves[event.key]);
    else if (event.key === "Escape") hide();
    else return;
    event.preventDefault();
  });
  return { show };
}

{
  const plot = byId("class-plot");
  if (plot && data.classes.length) {
    const low = Math.log(Number(plot.dataset.low));
    const high = Math.log(Number(plot.dataset.high));
    const shown = data.classes.map((item, rank) => rank).filter((rank) => data.classes[rank][1] > 0 && data.classes[rank][2] !== null);
    const points = shown.map((rank) => [(Math.log(data.classes[rank][1]) - low) / (high - low), 1 - data.classes[rank][2]]);
    const mark = byId("class-mark");
    follow(
      plot, shown.length, "Classes by falling count of training images",
      (place) => [className(shown[place]), `${percentOf(data.classes[shown[place]][2])} of its test images`,
        `${counted(data.classes[shown[place]][1], "training image")}, ${groupOf(shown[place])}`],
      (place) => {
        const [x, y] = place < 0 ? [-1, 0] : points[place];
        mark.setAttribute("cx", `${100 * x}%`);
        mark.setAttribute("cy", `${100 * y}%`);
        return [x, y];
      },
      (x, y, shape) => {
        let best = 0;
        let least = Infinity;
        for (let place = 0; place < points.length; place += 1) {
          const away = ((points[place][0] - x) * shape) ** 2 + (points[place][1] - y) ** 2;
          if (away < least) [best, least] = [place, away];
        }
        return best;
      },
    );
  }

  const NAMES = { intra: "intra-class", inter: "inter-class", ood: "ID to OOD" };
  for (const chart of document.querySelectorAll("[data-angles]")) {
    const series = Object.entries(data.angles[chart.dataset.angles] || {});
    if (!series.length || !data.classes.length) continue;
    const low = Number(chart.dataset.low);
    const high = Number(chart.dataset.high);
    const size = series[0][1].length;
    const cursor = chart.querySelector(".cursor");
    const values = (rank) => series.map(([, angles]) => angles[rank]).filter((angle) => angle !== null);
    follow(
      chart, size, "Classes from head to tail",
      (rank) => [className(rank), ...series.map(([key, angles]) => `${NAMES[key] || key} ${angles[rank] === null ? "–" : `${angles[rank].toFixed(1)}°`}`)],
      (rank) => {
        const x = rank < 0 ? -1 : (rank + 0.5) / size;
        cursor.setAttribute("x1", `${100 * x}%`);
        cursor.setAttribute("x2", `${100 * x}%`);
        return [x, rank < 0 || !values(rank).length ? 0.5 : 1 - (Math.max(...values(rank)) - low) / (high - low)];
      },
      (x) => Math.floor(x * size),
    );
  }
}
