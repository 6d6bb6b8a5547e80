"use strict";
// What every part of the page shares. Text from data only ever becomes text nodes and attributes.
const data = JSON.parse(document.getElementById("data").textContent);

function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

function grouped(count) {
  return count.toLocaleString("en-GB");
}

function counted(count, one, many) {
  return `${grouped(count)} ${count === 1 ? one : many || `${one}s`}`;
}

// A cursor over a chart that has a class a mark: by pointer, or as a slider by arrow keys.
//   label: of the slider. spoken(rank): what a screen reader says. written(rank): lines of the tip, the name first.
//   place(rank): draws the cursor and returns [x, y] in shares of the frame; rank -1 takes it away.
//   rankAt(x, y, shape): the rank at a place in the frame, which is shape times as wide as it is high.
function follow(plot, size, label, spoken, written, place, rankAt) {
  const frame = plot.querySelector("svg.frame");
  const tip = plot.querySelector(".tip");
  let at = 0;

  function show(rank) {
    at = Math.min(size - 1, Math.max(0, rank));
    const [x, y] = place(at);
    const [name, ...lines] = written(at);
    tip.replaceChildren(element("bdi", {}, name));
    for (const line of lines) tip.append(element("br"), line);
    tip.hidden = false;
    const box = frame.getBoundingClientRect();
    const outer = plot.getBoundingClientRect();
    const left = box.left - outer.left + x * box.width;
    const top = box.top - outer.top + y * box.height;
    const above = top - tip.offsetHeight - 10;
    tip.style.left = `${Math.max(0, Math.min(outer.width - tip.offsetWidth, left - tip.offsetWidth / 2))}px`;
    tip.style.top = `${above < -8 ? top + 14 : above}px`;
    plot.setAttribute("aria-valuenow", String(at + 1));
    plot.setAttribute("aria-valuetext", spoken(at));
  }

  function hide() {
    tip.hidden = true;
    place(-1);
  }

  const pointed = (event) => {
    const box = frame.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    show(rankAt(x, y, box.width / box.height));
  };
  plot.tabIndex = 0;
  plot.setAttribute("role", "slider");
  plot.setAttribute("aria-label", label);
  plot.setAttribute("aria-valuemin", "1");
  plot.setAttribute("aria-valuemax", String(size));
  plot.setAttribute("aria-valuenow", "1");
  plot.setAttribute("aria-valuetext", spoken(0));
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
  return { show, hide, at: () => at };
}

{
  // Colours follow the system until a reader says otherwise. Pages opened from a file may have no storage.
  const button = byId("theme");
  const order = ["auto", "light", "dark"];
  let theme = "auto";
  try {
    theme = localStorage.getItem("openmmlo-colours") || "auto";
  } catch { /* no storage */ }
  const apply = () => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Colours: ${theme}`;
  };
  button.addEventListener("click", () => {
    theme = order[(order.indexOf(theme) + 1) % order.length];
    try {
      localStorage.setItem("openmmlo-colours", theme);
    } catch { /* no storage */ }
    apply();
  });
  if (!order.includes(theme)) theme = "auto";
  apply();
  button.hidden = false;
}
