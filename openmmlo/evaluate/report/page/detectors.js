// One detector against one set at a time, one metric at a time, and rows in the order of any column.
{
  const detectors = byId("choose-detector");
  const sets = byId("choose-set");
  if (detectors && sets && data.pictures) {
    const put = (what, text) => {
      for (const found of document.querySelectorAll(`[data-shows="${what}"]`)) found.textContent = text;
    };
    const set = (id, attributes) => {
      for (const [name, value] of Object.entries(attributes)) byId(id).setAttribute(name, value);
    };
    const ticks = byId("score-ticks");
    const line = ticks.querySelector("line");
    const label = ticks.querySelector(".ticks text");

    function drawTicks(places) {
      const lines = places.map(([at]) => {
        const made = line.cloneNode(false);
        made.setAttribute("x1", `${at}%`);
        made.setAttribute("x2", `${at}%`);
        return made;
      });
      const labels = places.map(([at, text]) => {
        const made = label.cloneNode(false);
        made.setAttribute("x", `${at}%`);
        made.textContent = text;
        return made;
      });
      ticks.querySelector(".grid").replaceChildren(...lines);
      ticks.querySelector(".ticks").replaceChildren(...labels);
    }

    function show() {
      const picture = data.pictures[detectors.value];
      const drawn = picture.sets[sets.value];
      put("detector", detectors.value);
      put("set", sets.value);
      put("id-rows", grouped(drawn.rows[0]));
      put("ood-rows", grouped(drawn.rows[1]));
      if (line && label) drawTicks(picture.ticks);
      set("id-area", { d: drawn.id });
      set("ood-area", { d: drawn.ood });
      set("threshold", { x1: `${drawn.at}%`, x2: `${drawn.at}%` });
      set("threshold-name", { x: `${drawn.at}%`, class: drawn.at > 55 ? "threshold-name end" : "threshold-name" });
      set("histogram", { "aria-label": `Histogram of the scores of ${detectors.value}: test set against ${sets.value}` });
      set("roc", { "aria-label": `ROC curves of ${detectors.value}, one an OOD set: share of ID accepted against share of OOD accepted` });
      set("mark-id", { cx: `${drawn.marks[0][0]}%`, cy: `${100 - drawn.marks[0][1]}%` });
      set("mark-ood", { cx: `${drawn.marks[1][0]}%`, cy: `${100 - drawn.marks[1][1]}%` });
      const names = Object.keys(picture.sets);
      const curves = [...document.querySelectorAll(".curve.roc")];
      for (const curve of curves) {
        const name = names[Number(curve.dataset.place)];
        curve.setAttribute("d", picture.sets[name].curve);
        curve.classList.toggle("chosen", name === sets.value);
      }
      const chosen = curves.find((curve) => curve.classList.contains("chosen"));
      chosen.parentNode.append(chosen);
      for (const item of document.querySelectorAll(".sweep")) item.classList.toggle("chosen", item.dataset.set === sets.value);
      [...byId("pair-table").tBodies[0].rows].forEach((row, place) => {
        drawn.numbers[place].slice(1).forEach((text, column) => { row.cells[column + 1].textContent = text; });
      });
    }
    detectors.addEventListener("change", show);
    sets.addEventListener("change", show);
    byId("score-choice").hidden = false;
    show();
  }

  const choice = byId("metric-choice");
  if (choice) {
    const show = (key) => {
      for (const table of document.querySelectorAll("[data-metric]")) table.hidden = table.dataset.metric !== key;
    };
    choice.addEventListener("change", (event) => show(event.target.value));
    choice.hidden = false;
    show(choice.querySelector("input:checked").value);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const rows = [...table.tBodies[0].rows];
    const heads = [...table.tHead.rows[0].cells];
    const better = table.dataset.less === "1" ? "ascending" : "descending";
    heads.forEach((head, column) => {
      const button = element("button", { type: "button" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const usual = column ? better : "ascending";
        const before = head.getAttribute("aria-sort");
        const order = before === usual ? (usual === "ascending" ? "descending" : "ascending") : usual;
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const value = (row) => row.cells[column].dataset.value;
        const compared = (a, b) => {
          if (!column) return sign * (a.cells[0].textContent < b.cells[0].textContent ? -1 : 1);
          if (value(a) === undefined || value(b) === undefined) return (value(a) === undefined) - (value(b) === undefined);
          return sign * (Number(value(a)) - Number(value(b)));
        };
        table.tBodies[0].append(...[...rows].sort(compared));
      });
    });
  }
}
