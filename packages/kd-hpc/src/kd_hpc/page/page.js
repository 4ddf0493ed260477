"use strict";
(() => {
  const root = document.documentElement;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = root.dataset.theme || (dark ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });

  // One mark is reached by Tab, the others by arrow keys.
  const told = document.getElementById("told");
  const rows = [...document.querySelectorAll("#grid tbody tr")].map((row) => [...row.querySelectorAll(".mark")]);
  const marks = rows.flat();
  const only = (mark) => marks.forEach((other) => (other.tabIndex = other === mark ? 0 : -1));
  only(marks[0]);
  const tell = (mark) => (told.textContent = mark.getAttribute("aria-label"));
  for (const mark of marks) {
    mark.addEventListener("mouseenter", () => tell(mark));
    mark.addEventListener("focus", () => { only(mark); tell(mark); });
    mark.addEventListener("click", () => (document.getElementById("all").open = true));
  }
  const step = (row, column) => {
    const line = rows[Math.min(Math.max(row, 0), rows.length - 1)];
    line[Math.min(Math.max(column, 0), line.length - 1)].focus();
  };
  document.getElementById("grid").addEventListener("keydown", (event) => {
    const row = rows.findIndex((line) => line.includes(event.target));
    if (row < 0) return;
    const column = rows[row].indexOf(event.target);
    const to = { ArrowRight: [row, column + 1], ArrowLeft: [row, column - 1], ArrowDown: [row + 1, column], ArrowUp: [row - 1, column] }[event.key];
    if (!to) return;
    event.preventDefault();
    step(...to);
  });

  const lines = [...document.querySelectorAll("#runs tbody tr")];
  document.getElementById("search").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    for (const line of lines) {
      const text = line.textContent.toLowerCase();
      line.hidden = !words.every((word) => text.includes(word));
    }
  });

  // A command is copied whole.
  for (const command of document.querySelectorAll(".command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "copied";
    });
    command.after(button);
  }

  // Paper shows every run.
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
})();
