// What the pages do beyond their hx-* attributes: the theme, menus that close, names for a phone's rows, and polling with manners.

const root = document.documentElement;

function markTheme() {
  for (const button of document.querySelectorAll("[data-theme-to]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeTo === root.dataset.theme));
  }
}

function setTheme(theme) {
  root.dataset.theme = theme;
  const secure = location.protocol === "https:" ? ";secure" : "";
  document.cookie = `theme=${theme};path=/;max-age=31536000;samesite=lax${secure}`;
  markTheme();
  document.dispatchEvent(new Event("console:theme"));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-to]");
  if (button) setTheme(button.dataset.themeTo);
  for (const menu of document.querySelectorAll("details.user[open], details.filter[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// What comes by itself may be held, to be read.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-pause]");
  if (!button) return;
  const paused = button.closest("[data-tail]").toggleAttribute("data-paused");
  button.setAttribute("aria-pressed", String(paused));
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.user[open], details.filter[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// On a phone a list's rows stand as piles: each cell then shows the name of its column (console.css).
function nameCells(table) {
  const names = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
  for (const row of table.tBodies[0]?.rows ?? []) {
    [...row.cells].forEach((cell, index) => {
      if (cell.textContent.trim() === "-") cell.dataset.empty = "";
      if (cell.tagName === "TD" && index > 0 && names[index] && !cell.querySelector(".state, .row-verbs")) cell.dataset.label = names[index];
    });
  }
}

// A part that someone works in is not replaced under their hands, and a page that nobody sees asks nothing.
function busy(part) {
  const held = part.closest("[data-paused]") !== null || part.querySelector("details[open], input:checked") !== null;
  return document.hidden || held || part.contains(document.activeElement);
}

const stale = document.getElementById("stale");
const showStale = (yes) => stale && (stale.hidden = !yes);

document.addEventListener("htmx:beforeRequest", (event) => {
  if (!event.detail.requestConfig.triggeringEvent && busy(event.detail.elt)) event.preventDefault();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const answered = new URL(event.detail.xhr.responseURL || location.href).pathname;
  if (answered === new URL(event.detail.pathInfo.requestPath, location.href).pathname) return;
  event.detail.shouldSwap = false; // the session ended: the sign-in page must not land inside a part
  location.reload();
});
for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) document.addEventListener(name, () => showStale(true));
document.addEventListener("htmx:afterSwap", () => {
  showStale(false);
  document.querySelectorAll("#result_list").forEach(nameCells);
});

// The stock two-box selector labels a bare span, which nothing reads out: as a picture it is read.
addEventListener("load", () => document.querySelectorAll("span.help-tooltip").forEach((hint) => hint.setAttribute("role", "img")));

markTheme();
document.querySelectorAll("#result_list").forEach(nameCells);
