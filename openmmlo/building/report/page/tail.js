// The long tail: a cursor that names classes, and images from head to tail below the bars.
{
  const plot = byId("tail-plot");
  const trained = data.trained;
  if (plot && trained.length) {
    const order = trained.map((count, place) => [count, place]).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
    const low = Number(plot.dataset.low);
    const high = Number(plot.dataset.high);
    const cursor = byId("tail-cursor");

    const spoken = (rank) => {
      const [count, place] = order[rank];
      const group = data.classes[place][2];
      return `${gallery.title(place)}: ${counted(count, "image")}${group < 0 ? "" : `, ${data.groups[group]}`}, rank ${grouped(rank + 1)}`;
    };
    const written = (rank) => [gallery.title(order[rank][1]), `${counted(order[rank][0], "image")} · rank ${grouped(rank + 1)}`];
    const drawn = (rank) => {
      const share = rank < 0 ? -1 : (rank + 0.5) / order.length;
      cursor.setAttribute("x1", `${100 * share}%`);
      cursor.setAttribute("x2", `${100 * share}%`);
      return [share, rank < 0 ? 0 : 1 - Math.log(Math.max(order[rank][0], low) / low) / Math.log(high / low)];
    };
    const { show, hide, at } = follow(
      plot, order.length, "Classes by falling count of training images", spoken, written, drawn,
      (x) => Math.floor(x * order.length),
    );
    plot.addEventListener("click", (event) => { if (event.pointerType !== "touch") gallery.pick(order[at()][1]); });
    plot.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      gallery.pick(order[at()][1]);
      event.preventDefault();
    });

    // One image for each stretch of ranks: that of the class nearest to its middle that has one.
    const strip = byId("tail-strip");
    const images = new Map();
    for (const card of data.cards) {
      if (card[6] && !images.has(card[0])) images.set(card[0], card[6]);
    }
    const places = Math.min(order.length, window.matchMedia("(max-width: 560px)").matches ? 5 : 12);
    const stretch = order.length / places;
    const chosen = [];
    for (let place = 0; place < places; place += 1) {
      const middle = (place + 0.5) * stretch - 0.5;
      const ranks = [];
      for (let rank = Math.ceil(place * stretch); rank < (place + 1) * stretch && rank < order.length; rank += 1) ranks.push(rank);
      const best = ranks.filter((rank) => images.has(order[rank][1])).sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle))[0];
      chosen.push(best);
    }
    if (chosen.some((rank) => rank !== undefined)) {
      strip.append(...chosen.map((rank) => {
        if (rank === undefined) return element("li");
        const [count, place] = order[rank];
        const image = element("img", { alt: "", decoding: "async" });
        image.src = `data:image/webp;base64,${images.get(place)}`;
        const button = element("button", { type: "button" }, image,
          element("bdi", { className: "name", title: gallery.title(place) }, gallery.title(place)),
          element("span", { className: "note" }, grouped(count)));
        button.addEventListener("click", () => gallery.pick(place));
        button.addEventListener("pointerenter", () => show(rank));
        button.addEventListener("pointerleave", hide);
        return element("li", {}, button);
      }));
    }
  }
}
