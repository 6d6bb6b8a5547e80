// The rows of a benchmark: in any order, filtered, compared with one of them, and all of that in the address.
{
  const table = byId("board");
  if (table) {
    const MOST = 50; // rows laid out at once: as many as answer at once
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const [over, heads] = table.tHead.rows;
    const every = rows.map((row, at) => at);
    const pins = rows.map((row) => row.cells[0].firstElementChild);
    const facets = [...document.querySelectorAll("[data-facet]")];
    const sets = byId("f-columns");
    const search = byId("q");
    const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
    const facet = (key, at) => data.facets[key].values[data.facets[key].at[at]];
    const hay = every.map((at) => plain([data.names[at], data.words[at], ...Object.keys(data.facets).map((key) => facet(key, at))].join(" ")));
    const words = {
      name: (at) => data.names[at], backbone: (at) => facet("backbone", at), pretraining: (at) => facet("pretraining", at),
      captions: (at) => rows[at].cells[rows[at].cells.length - 3].textContent, date: (at) => data.dates[at],
    };
    const collator = new Intl.Collator("en", { numeric: true });
    const column = (key) => (Object.hasOwn(data.columns, key) ? data.columns[key] : null);
    const known = (key) => column(key) || Object.hasOwn(words, key) || key === "seeds";
    const text = (value) => (value / 100).toFixed(2).replace("-", "−");
    const start = { sort: data.order, q: "", pin: "", method: "", columns: "headline", all: "" };
    let state = { ...start, up: false, facets: {} };
    let drawn = "";
    let pointed = "";

    // The columns of a set: those shown first, or a group of them.
    function keysOf(name) {
      const found = Object.keys(data.columns).filter((key) => data.columns[key].group === name);
      return name === start.columns || !found.length ? data.headline : found;
    }
    let keys = data.headline;

    // Which way a column is sorted at first: the best, or the first letter, at the top.
    function usual(key) {
      return column(key) ? Boolean(column(key).less) : key in words && key !== "date";
    }

    // What rows are sorted by, as numbers: of words their place among all of them. Nothing is NaN, and comes last.
    const orders = new Map();
    function orderOf(key) {
      if (!orders.has(key)) {
        const told = Object.hasOwn(words, key) ? every.map(words[key]) : null;
        const places = told && new Map([...new Set(told)].sort(collator.compare).map((word, place) => [word, place]));
        const value = (at) => (key === "seeds" ? data.seeds[at] : column(key).cells[at][0]) ?? NaN;
        orders.set(key, every.map(told ? (at) => (told[at] ? places.get(told[at]) : NaN) : value));
      }
      return orders.get(key);
    }

    function sorted(found) {
      const sign = state.up ? 1 : -1;
      const values = orderOf(state.sort);
      return found.sort((a, b) => Number.isNaN(values[a]) - Number.isNaN(values[b]) || sign * (values[a] - values[b]) || a - b);
    }

    function fits(at, wanted) {
      return wanted.every((word) => hay[at].includes(word)) && (!state.method || data.methods[at] === state.method)
        && Object.entries(state.facets).every(([key, value]) => facet(key, at) === value);
    }

    function numbers(at, base) {
      return keys.map((key) => {
        const { cells, less } = data.columns[key];
        const mean = cells[at] ? text(cells[at][0]) : "–"; // a paper's one digit stays one
        const made = element("td", { className: "n number" }, data.told[at] ? mean.replace(/0$/, "") : mean);
        if (!cells[at]) return made;
        if (cells[at][1] != null) made.append(" ", element("span", { className: "sd" }, `± ${text(cells[at][1])}`));
        if (base < 0 || at === base || !cells[base]) return made;
        const away = cells[at][0] - cells[base][0];
        // Coloured where the intervals do not touch, and never between a paper's number and one scored here.
        const noise = (cells[at][2] || 0) + (cells[base][2] || 0);
        const tied = Math.abs(away) <= noise || data.told[at] !== data.told[base];
        const look = tied ? "" : (away < 0) === Boolean(less) ? " better" : " worse";
        made.append(element("span", { className: `diff${look}` }, `${away < 0 ? "" : "+"}${text(away)}`));
        return made;
      });
    }

    function fill(at, base, ranks) {
      const row = rows[at];
      const look = `${state.columns}|${base}`;
      if (row.dataset.look !== look) {
        for (const old of row.querySelectorAll(".number")) old.remove();
        row.querySelector(".after").before(...numbers(at, base));
        row.classList.toggle("pinned", at === base);
        pins[at].setAttribute("aria-pressed", String(at === base));
        row.dataset.look = look;
      }
      const [, , , best, worst] = ranks[at] || [];
      row.cells[1].textContent = best ? (worst ? `${best}–${worst}` : best) : "–";
    }

    // Buttons in the heading, one a column; numbers change with the set of columns.
    function heading(head) {
      const { key } = head.dataset;
      const button = element("button", { type: "button" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => change({ sort: key, up: state.sort === key ? !state.up : usual(key) }));
    }

    function columns() {
      keys = keysOf(state.columns);
      for (const old of table.tHead.querySelectorAll(".number, th.over")) old.remove();
      const names = [];
      const made = keys.map((key) => {
        const { title, group, less } = data.columns[key];
        if (names.length && names.at(-1)[0] === group) names.at(-1)[1] += 1;
        else names.push([group, 1]);
        const head = element("th", { scope: "col", className: "n number" }, less ? `${title}\u00a0↓` : title);
        head.dataset.key = key;
        heading(head);
        return head;
      });
      heads.querySelector(".after").before(...made);
      over.lastElementChild.before(...names.map(([name, span]) => element("th", { scope: "colgroup", colSpan: span, className: "over" }, name)));
    }

    function draw() {
      const wanted = plain(state.q).split(/\s+/).filter(Boolean);
      const found = sorted(every.filter((at) => fits(at, wanted)));
      const base = data.keys.indexOf(state.pin);
      const shown = (state.all ? found : found.slice(0, MOST)).filter((at) => at !== base);
      if (base >= 0) shown.unshift(base);
      const ranks = (column(state.sort) || column(data.order)).cells;
      for (const at of shown) fill(at, base, ranks);
      body.replaceChildren(...shown.map((at) => rows[at]));
      for (const head of heads.querySelectorAll("[data-key]")) {
        if (head.dataset.key === state.sort) head.setAttribute("aria-sort", state.up ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      }
      byId("none").hidden = found.length > 0;
      byId("more").hidden = found.length <= MOST;
      byId("all").textContent = state.all ? `Show the first ${MOST} alone` : `Show all ${grouped(found.length)} rows`;
      const said = [found.length === rows.length ? byId("count").dataset.all : `${grouped(found.length)} of ${counted(rows.length, "row")}`];
      if (state.method) said.push(`method ${state.method}`);
      if (base >= 0) said.push(`differences from ${data.names[base]}`);
      byId("count").textContent = said.join("; ");
      const look = JSON.stringify([state.q, state.method, state.facets]);
      drawPoints(look === pointed ? null : new Set(found), base);
      pointed = look;
    }

    // Only what differs from the start is in the address.
    function written() {
      const found = new URLSearchParams();
      for (const key of Object.keys(start)) if (state[key] !== start[key]) found.set(key, state[key]);
      if (state.up !== usual(state.sort)) found.set("order", state.up ? "up" : "down");
      for (const [key, value] of Object.entries(state.facets)) found.set(key, value);
      return found.toString();
    }

    function read(hash) {
      const found = new URLSearchParams(hash.replace(/^#/, ""));
      const among = (list, key) => (list.includes(found.get(key)) ? found.get(key) : start[key]);
      const options = (control) => [...control.options].map((item) => item.value);
      const sort = known(found.get("sort")) ? found.get("sort") : start.sort;
      state = {
        sort, up: found.has("order") ? found.get("order") === "up" : usual(sort), q: (found.get("q") || "").slice(0, 200),
        pin: among(data.keys, "pin"), method: among(data.methods, "method"), columns: sets ? among(options(sets), "columns") : start.columns,
        all: found.get("all") ? "1" : "", facets: {},
      };
      for (const control of facets) {
        const value = options(control).includes(found.get(control.dataset.facet)) ? found.get(control.dataset.facet) : "";
        if (value) state.facets[control.dataset.facet] = value;
        control.value = value;
      }
      search.value = state.q;
      if (sets) sets.value = state.columns;
      columns();
    }

    function update() {
      draw();
      drawn = written();
      byId("permalink").href = `#${drawn}`;
      byId("clear").hidden = !drawn;
    }

    function change(values) {
      Object.assign(state, values);
      if ("columns" in values) columns();
      update();
      try {
        history.replaceState(null, "", drawn ? `#${drawn}` : location.href.split("#")[0]);
      } catch { /* where a page may not write its address, the link beside the table has it */ }
    }

    for (const head of heads.querySelectorAll("[data-key]:not(.number)")) heading(head);
    pins.forEach((pin, at) => {
      pin.hidden = false;
      pin.addEventListener("click", () => {
        change({ pin: state.pin === data.keys[at] ? "" : data.keys[at] });
        pin.focus({ preventScroll: true });
      });
    });
    search.addEventListener("input", () => change({ q: search.value }));
    if (sets) sets.addEventListener("change", () => change({ columns: sets.value }));
    for (const control of facets) {
      control.addEventListener("change", () => {
        const chosen = { ...state.facets };
        delete chosen[control.dataset.facet];
        if (control.value) chosen[control.dataset.facet] = control.value;
        change({ facets: chosen });
      });
    }
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("all").addEventListener("click", () => change({ all: state.all ? "" : "1" }));
    byId("clear").addEventListener("click", () => {
      read("");
      change({});
      search.focus();
    });
    for (const link of document.querySelectorAll(".to-row")) {
      // A row that is not shown is shown before the browser goes to it.
      link.addEventListener("click", () => {
        if (byId(link.hash.slice(1))) return;
        read("all=1");
        update();
      });
    }
    const follows = () => location.hash === "" || location.hash.includes("=");
    addEventListener("hashchange", () => {
      if (!follows() || location.hash.slice(1) === drawn) return;
      read(location.hash);
      update();
    });
    byId("count").dataset.all = byId("count").textContent;
    byId("filters").hidden = false;
    byId("actions").hidden = false;
    read(follows() ? location.hash : "");
    update();
    if (!follows() && byId(location.hash.slice(1))) byId(location.hash.slice(1)).scrollIntoView();
  }
}
