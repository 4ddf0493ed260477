"use strict";
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => row.cells[place].dataset.sort;
    const numeric = head.classList.contains("number");
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return (up ? 1 : -1) * (numeric ? Number(x) - Number(y) : x.localeCompare(y, "en", {numeric: true}));
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(compare));
  }));
}
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
if (matchMedia("(max-width: 60rem)").matches) document.getElementById("contents").open = false;
const folds = [...document.querySelectorAll("main details")];
const unfold = document.getElementById("unfold");
const label = () => { unfold.textContent = folds.every(fold => fold.open) ? "Close all" : "Open all"; };
unfold.addEventListener("click", () => {
  const open = !folds.every(fold => fold.open);
  folds.forEach(fold => { fold.open = open; });
});
folds.forEach(fold => fold.addEventListener("toggle", label));
const show = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const fold = target && (target.querySelector("details") || target.closest("details"));
  if (fold) { fold.open = true; target.scrollIntoView(); }
};
addEventListener("hashchange", show);
show();
let closed = [];
addEventListener("beforeprint", () => {
  closed = folds.filter(fold => !fold.open);
  closed.forEach(fold => { fold.open = true; });
});
addEventListener("afterprint", () => closed.forEach(fold => { fold.open = false; }));
