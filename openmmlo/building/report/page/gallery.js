// The gallery: filters over the cards, their counts, and the address that holds their state.
function picture(image, name) {
  const box = element("div", { className: "picture" });
  if (image) {
    const shown = element("img", { alt: `An image of ${name}`, decoding: "async" });
    shown.src = `data:image/webp;base64,${image}`;
    box.append(shown);
  } else {
    box.append("This image cannot be shown");
    box.classList.add("broken");
  }
  return box;
}

const gallery = (() => {
  const { splits, groups, classes, cards, withImages } = data;
  const ALL = -1;
  const state = { query: "", split: ALL, group: ALL, version: "raw" };
  const step = window.matchMedia("(max-width: 560px)").matches ? 16 : 40;
  let shown = step;
  let found = [];

  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const names = classes.map(([key, name]) => [plain(name), plain(key)]);
  const title = (place) => classes[place][1] || classes[place][0] || "class not known";

  function classMatcher(query) {
    const wanted = plain(query.trim());
    if (!wanted) return () => true;
    const exact = /^"(.+)"$/u.exec(wanted);
    if (exact) return (place) => names[place].includes(exact[1]);
    return (place) => names[place].some((name) => name.includes(wanted));
  }

  function captionOf(pieces, version) {
    const paragraph = element("p", { className: "caption", dir: "auto" });
    for (const piece of pieces) {
      if (typeof piece === "string") paragraph.append(piece);
      else if (version === "raw") paragraph.append(element("mark", {}, piece[0]));
      else paragraph.append(element("span", { className: "mask" }, piece[1]));
    }
    return paragraph;
  }

  function heading(place, content) {
    const group = classes[place][2];
    const dot = element("span", { className: group < 0 ? "key" : `key ${groups[group]}` });
    if (group >= 0) dot.setAttribute("title", groups[group]);
    return element("h3", {}, dot, content);
  }

  function about(card) {
    const group = classes[card[0]][2];
    return [splits[card[1]], group < 0 ? "" : groups[group] === "ood" ? "OOD" : groups[group]].filter(Boolean);
  }

  function cardOf(place) {
    const card = cards[place];
    const [own, , , pieces, , , image] = card;
    const open = element("button", { type: "button" }, element("bdi", {}, title(own)));
    open.addEventListener("click", () => detail(found.indexOf(place)));
    const made = element("article", { className: "card" });
    if (withImages && image !== "") made.append(picture(image, title(own)));
    else made.classList.add("text");
    const note = element("p", { className: "note" }, element("bdi", {}, about(card)[0]), ` · ${about(card).slice(1)}`);
    if (about(card).length < 2) note.lastChild.remove();
    made.append(heading(own, open), note, captionOf(pieces, state.version));
    return made;
  }

  function detail(position) {
    const [own, , sample, pieces, width, height, image] = cards[found[position]];
    const dialog = byId("detail");
    const button = (text, to, enabled) => {
      const made = element("button", { type: "button", disabled: !enabled }, text);
      made.addEventListener("click", to);
      return made;
    };
    const name = element("bdi", { id: "detail-title" }, title(own));
    const size = width && height ? `${grouped(width)} × ${grouped(height)} pixels` : "";
    const key = classes[own][0] && classes[own][0] !== title(own) ? `class ${classes[own][0]}` : "";
    const facts = [...about(cards[found[position]]), sample, key, size].filter(Boolean);
    const line = element("p", { className: "note" });
    facts.forEach((fact, place) => line.append(place ? " · " : "", element("bdi", {}, fact)));
    const bar = element("div", { className: "dialog-bar" },
      element("span", {},
        button("Previous", () => detail(position - 1), position > 0),
        button("Next", () => detail(position + 1), position + 1 < found.length)),
      button("Close", () => dialog.close(), true));
    dialog.replaceChildren(
      ...(withImages && image !== "" ? [picture(image, title(own))] : []),
      heading(own, name), line,
      element("h4", {}, "as written"), captionOf(pieces, "raw"),
      element("h4", {}, "masked"), captionOf(pieces, "masked"), bar);
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }

  function chips(box, name, options, chosen) {
    byId(box).replaceChildren(...options.map(([value, text, key]) => {
      const input = element("input", { type: "radio", name, value: String(value), checked: value === chosen });
      const chip = element("span", { className: "chip" });
      if (key) chip.append(element("span", { className: `key ${key}` }));
      chip.append(element("bdi", { title: text }, text), element("span", { className: "of" }));
      return element("label", {}, input, chip);
    }));
  }

  function showCounts(box, counts) {
    for (const label of byId(box).children) {
      const value = Number(label.querySelector("input").value);
      label.querySelector(".of").textContent = grouped(counts(value));
    }
  }

  function update() {
    const ofClass = classMatcher(state.query);
    const matches = classes.map((_, place) => ofClass(place));
    const inGroup = (card, group) => group === ALL || classes[card[0]][2] === group;
    const inSplit = (card, split) => split === ALL || card[1] === split;
    found = [];
    const perSplit = new Map();
    const perGroup = new Map();
    const more = (table, key) => table.set(key, (table.get(key) || 0) + 1);
    cards.forEach((card, place) => {
      if (!matches[card[0]]) return;
      if (inGroup(card, state.group)) {
        more(perSplit, card[1]);
        more(perSplit, ALL);
      }
      if (inSplit(card, state.split)) {
        more(perGroup, classes[card[0]][2]);
        more(perGroup, ALL);
        if (inGroup(card, state.group)) found.push(place);
      }
    });
    const kinds = [];
    let rows = 0;
    classes.forEach((item, place) => {
      if (!matches[place] || (state.group !== ALL && item[2] !== state.group)) return;
      const own = state.split === ALL ? item[3].reduce((sum, count) => sum + count, 0) : item[3][state.split];
      rows += own;
      if (own) kinds.push(place);
    });
    showCounts("splits", (value) => perSplit.get(value) || 0);
    showCounts("groups", (value) => perGroup.get(value) || 0);
    const examples = found.length
      ? `${grouped(Math.min(shown, found.length))} of ${counted(found.length, "example")} shown`
      : "No example";
    byId("count").textContent = `${examples} · ${counted(rows, "row")} in ${counted(kinds.length, "class", "classes")}`;
    byId("cards").replaceChildren(...found.slice(0, shown).map(cardOf));
    byId("more").hidden = found.length <= shown;
    byId("clear").hidden = !state.query && state.split === ALL && state.group === ALL;
  }

  function address() {
    const parts = new URLSearchParams();
    if (state.query) parts.set("class", state.query);
    if (state.split !== ALL) parts.set("split", splits[state.split]);
    if (state.group !== ALL) parts.set("group", groups[state.group]);
    if (state.version !== "raw") parts.set("captions", state.version);
    return parts.size ? `#gallery?${parts}` : "#gallery";
  }

  function remember() {
    try {
      history.replaceState(null, "", address());
    } catch { /* some viewers forbid it */ }
  }

  function restore() {
    const [anchor, query] = location.hash.split(/\?(.*)/su);
    if (anchor !== "#gallery" || query === undefined) return false;
    const parts = new URLSearchParams(query);
    state.query = parts.get("class") || "";
    state.split = splits.indexOf(parts.get("split"));
    state.group = groups.indexOf(parts.get("group"));
    state.version = parts.get("captions") === "masked" ? "masked" : "raw";
    return true;
  }

  function reflect() {
    byId("search").value = state.query;
    for (const [name, value] of [["split", state.split], ["group", state.group], ["version", state.version]]) {
      for (const input of document.getElementsByName(name)) input.checked = input.value === String(value);
    }
  }

  function changed() {
    shown = step;
    update();
    remember();
  }

  function pick(place) {
    Object.assign(state, { query: `"${title(place)}"`, split: ALL, group: ALL });
    reflect();
    changed();
    byId("gallery").scrollIntoView();
  }

  function follow() {
    if (!restore()) return;
    reflect();
    shown = step;
    update();
    byId("gallery").scrollIntoView();
  }

  const usedSplits = splits.map((name, place) => [place, name]).filter(([place]) => cards.some((card) => card[1] === place));
  const usedGroups = groups.map((name, place) => [place, name === "ood" ? "OOD" : name, name])
    .filter(([place]) => cards.some((card) => classes[card[0]][2] === place));
  chips("splits", "split", [[ALL, "all"], ...usedSplits], ALL);
  chips("groups", "group", [[ALL, "all"], ...usedGroups], ALL);
  chips("versions", "version", [["raw", "as written"], ["masked", "masked"]], "raw");
  for (const of of byId("versions").querySelectorAll(".of")) of.remove();
  byId("split-field").hidden = usedSplits.length < 2;
  byId("group-field").hidden = usedGroups.length < 2;

  const filters = byId("filters");
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("change", (event) => {
    const { name, value } = event.target;
    if (name === "version") state.version = value;
    else if (name === "split" || name === "group") state[name] = Number(value);
    else return;
    changed();
  });
  byId("search").addEventListener("input", (event) => {
    state.query = event.target.value;
    changed();
  });
  byId("clear").addEventListener("click", () => {
    Object.assign(state, { query: "", split: ALL, group: ALL });
    reflect();
    changed();
    byId("search").focus();
  });
  byId("more").addEventListener("click", () => {
    const before = shown;
    shown += step;
    update();
    const next = byId("cards").children[before];
    if (next) next.querySelector("button").focus({ preventScroll: true });
  });
  byId("detail").addEventListener("click", (event) => {
    if (event.target === byId("detail")) byId("detail").close();
  });
  window.addEventListener("hashchange", follow);

  // Boxes take the usual shape of the images, so that little is cut off.
  const shapes = cards.filter((card) => card[6] && card[4] && card[5]).map((card) => card[4] / card[5]).sort((a, b) => a - b);
  if (shapes.length) {
    const usual = Math.min(1.5, Math.max(0.8, shapes[Math.floor(shapes.length / 2)]));
    byId("cards").style.setProperty("--shape", String(usual));
  }
  filters.hidden = !cards.length;
  restore();
  reflect();
  update();
  // Only when the whole page has its height.
  window.addEventListener("load", () => {
    if (location.hash.startsWith("#gallery?")) byId("gallery").scrollIntoView({ behavior: "instant" });
  });
  return { pick, title };
})();
