// The table of classes: search, shot group and order over all of them; without scripts it lists the least accurate.
{
  const table = byId("class-table");
  if (table && data.classes.length) {
    const MOST = 12;
    const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
    const names = data.classes.map(([name]) => plain(name));
    const state = { query: "", group: -1, order: "worst" };
    const orders = {
      worst: (a, b) => data.classes[a][2] - data.classes[b][2] || a - b,
      best: (a, b) => data.classes[b][2] - data.classes[a][2] || a - b,
      head: (a, b) => a - b,
      tail: (a, b) => b - a,
    };
    const svg = (tag, attributes) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      return made;
    };

    function row(rank) {
      const [name, count, value] = data.classes[rank];
      const group = groupOf(rank);
      const meter = svg("svg", { class: "meter", height: 8, "aria-hidden": "true" });
      meter.append(svg("rect", { class: "ground", width: "100%", height: 8 }),
        svg("rect", { class: `fill ${group}`, width: `${100 * (value || 0)}%`, height: 8 }));
      const own = element("td", {}, group ? element("span", { className: `key ${group}` }) : "–");
      if (group) own.append(` ${group}`);
      return element("tr", {},
        element("th", { scope: "row" }, element("bdi", {}, name)), own,
        element("td", { className: "n" }, count === null ? "–" : grouped(count)),
        element("td", { className: "n" }, value === null ? "–" : (100 * value).toFixed(2)),
        element("td", { className: "drawn" }, meter));
    }

    function draw() {
      const wanted = plain(state.query.trim());
      const found = names.map((name, rank) => rank)
        .filter((rank) => names[rank].includes(wanted) && (state.group < 0 || data.classes[rank][3] === state.group))
        .filter((rank) => data.classes[rank][2] !== null || !state.order.match(/worst|best/));
      found.sort(orders[state.order]);
      table.tBodies[0].replaceChildren(...found.slice(0, MOST).map(row));
      table.caption.querySelector(".fits").textContent = { worst: "The least accurate classes", best: "The most accurate classes",
        head: "Classes, most training images first", tail: "Classes, fewest training images first" }[state.order];
      byId("class-count").textContent = `${grouped(Math.min(MOST, found.length))} of ${counted(found.length, "class", "classes")} shown`;
    }

    const chip = (label, value) => {
      const input = element("input", { type: "radio", name: "class-group", value: String(value), checked: value < 0 });
      input.addEventListener("change", () => { state.group = value; draw(); });
      return element("label", {}, input, element("span", { className: "chip" }, label));
    };
    const present = data.groups.map((group, place) => place).filter((place) => data.classes.some((item) => item[3] === place));
    byId("class-groups").append(chip("all", -1), ...present.map((place) => chip(data.groups[place], place)));
    if (!present.length) byId("class-groups").closest(".field").hidden = true;
    byId("class-search").addEventListener("input", (event) => { state.query = event.target.value; draw(); });
    byId("class-order").addEventListener("change", (event) => { state.order = event.target.value; draw(); });
    byId("class-finder").hidden = false;
    draw();
  }
}
