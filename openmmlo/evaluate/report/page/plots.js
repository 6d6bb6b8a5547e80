// What a class has to do with a dot: accuracy against training images, and the angles.
const className = (rank) => data.classes[rank][0];
const percentOf = (share) => (share === null ? "not tested" : `${(100 * share).toFixed(1)}%`);
const groupOf = (rank) => (data.classes[rank][3] < 0 ? "" : data.groups[data.classes[rank][3]]);

{
  const plot = byId("class-plot");
  if (plot && data.classes.length) {
    const low = Math.log(Number(plot.dataset.low));
    const high = Math.log(Number(plot.dataset.high));
    const shown = data.classes.map((item, rank) => rank).filter((rank) => data.classes[rank][1] > 0 && data.classes[rank][2] !== null);
    const points = shown.map((rank) => [(Math.log(data.classes[rank][1]) - low) / (high - low), 1 - data.classes[rank][2]]);
    const mark = byId("class-mark");
    const words = (place) => [className(shown[place]), `${percentOf(data.classes[shown[place]][2])} of its test images`,
      `${counted(data.classes[shown[place]][1], "training image")}, ${groupOf(shown[place])}`];
    follow(
      plot, shown.length, "Classes by falling count of training images",
      (place) => words(place).join(", "), words,
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
    const words = (rank) => [className(rank),
      ...series.map(([key, angles]) => `${NAMES[key]} ${angles[rank] === null ? "–" : `${angles[rank].toFixed(1)}°`}`)];
    follow(
      chart, size, "Classes from head to tail",
      (rank) => words(rank).join(", "), words,
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
