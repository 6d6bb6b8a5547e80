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
