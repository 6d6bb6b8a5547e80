// The long tail: a cursor that names classes, and images from head to tail below the bars.
{
  const plot = byId("tail-plot");
  const trained = data.trained;
  if (plot && trained.length) {
    const order = trained.map((count, place) => [count, place]).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
    const low = Number(plot.dataset.low);
    const high = Number(plot.dataset.high);
    const frame = plot.querySelector("svg.frame");
    const cursor = byId("tail-cursor");
    const tip = byId("tail-tip");
    let at = 0;

    const words = (rank) => {
      const [count, place] = order[rank];
      const group = data.classes[place][2];
      return `${gallery.title(place)}: ${counted(count, "image")}${group < 0 ? "" : `, ${data.groups[group]}`}, rank ${grouped(rank + 1)}`;
    };

    function show(rank) {
      at = Math.min(order.length - 1, Math.max(0, rank));
      const [count, place] = order[at];
      const share = (at + 0.5) / order.length;
      cursor.setAttribute("x1", `${100 * share}%`);
      cursor.setAttribute("x2", `${100 * share}%`);
      tip.replaceChildren(element("bdi", {}, gallery.title(place)), element("br"),
        `${counted(count, "image")} · rank ${grouped(at + 1)}`);
      tip.hidden = false;
      const box = frame.getBoundingClientRect();
      const outer = plot.getBoundingClientRect();
      const x = box.left - outer.left + share * box.width;
      const height = Math.log(Math.max(count, low) / low) / Math.log(high / low);
      const y = box.top - outer.top + (1 - height) * box.height;
      tip.style.left = `${Math.max(0, Math.min(outer.width - tip.offsetWidth, x - tip.offsetWidth / 2))}px`;
      tip.style.top = `${Math.max(-8, y - tip.offsetHeight - 10)}px`;
      plot.setAttribute("aria-valuenow", String(at + 1));
      plot.setAttribute("aria-valuetext", words(at));
    }

    function hide() {
      tip.hidden = true;
      cursor.setAttribute("x1", "-100%");
      cursor.setAttribute("x2", "-100%");
    }

    const rankAt = (event) => {
      const box = frame.getBoundingClientRect();
      return Math.floor(((event.clientX - box.left) / box.width) * order.length);
    };
    plot.tabIndex = 0;
    plot.setAttribute("role", "slider");
    plot.setAttribute("aria-label", "Classes by falling count of training images");
    plot.setAttribute("aria-valuemin", "1");
    plot.setAttribute("aria-valuemax", String(order.length));
    plot.setAttribute("aria-valuenow", "1");
    plot.setAttribute("aria-valuetext", words(0));
    plot.addEventListener("pointermove", (event) => show(rankAt(event)));
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("focus", () => { if (plot.matches(":focus-visible")) show(at); });
    plot.addEventListener("blur", hide);
    plot.addEventListener("click", (event) => {
      show(rankAt(event));
      if (event.pointerType !== "touch") gallery.pick(order[at][1]);
    });
    plot.addEventListener("keydown", (event) => {
      const page = Math.max(1, Math.round(order.length / 10));
      const moves = {
        ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1,
        PageUp: at - page, PageDown: at + page, Home: 0, End: order.length - 1,
      };
      if (event.key in moves) show(moves[event.key]);
      else if (event.key === "Enter") gallery.pick(order[at][1]);
      else if (event.key === "Escape") hide();
      else return;
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
