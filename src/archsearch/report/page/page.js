"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const isDark = matchMedia("(prefers-color-scheme: dark)");
  const isTouch = matchMedia("(pointer: coarse)");
  const isNarrow = matchMedia("(max-width: 40rem)");

  // Plotly knows no CSS: text, grid and hover labels take their colours from the page.
  function themed(layout) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const changed = {
      "font.color": colour("--ink"),
      "hoverlabel.bgcolor": colour("--panel"),
      "hoverlabel.bordercolor": colour("--rule"),
      "hoverlabel.font.color": colour("--ink"),
      "legend.bgcolor": "rgba(0,0,0,0)",
    };
    for (const axis of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
      changed[axis + ".gridcolor"] = colour("--rule");
      changed[axis + ".linecolor"] = colour("--rule");
      changed[axis + ".tickcolor"] = colour("--rule");
    }
    return changed;
  }

  function assign(layout, changes) {
    for (const [path, value] of Object.entries(changes)) {
      const keys = path.split(".");
      const last = keys.pop();
      let place = layout;
      for (const key of keys) place = place[key] ??= {};
      place[last] = value;
    }
    return layout;
  }

  function draw(plot) {
    if (plot.dataset.drawn) return;
    plot.dataset.drawn = "yes";
    const { data, layout } = figures[plot.dataset.figure];
    assign(layout, themed(layout));
    if (isTouch.matches) layout.dragmode = false; // a finger scrolls the page
    if (isNarrow.matches) layout.font.size = 11;
    Plotly.newPlot(plot, data, layout, {
      responsive: true,
      displaylogo: false,
      displayModeBar: isTouch.matches ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    });
  }

  const plots = [...document.querySelectorAll(".plot")];
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "600px" });
  plots.forEach((plot) => watcher.observe(plot));
  addEventListener("beforeprint", () => plots.forEach(draw));
  isDark.addEventListener("change", () => {
    for (const plot of plots) {
      if (plot.dataset.drawn) Plotly.relayout(plot, themed(plot.layout));
    }
  });

  // Numbers by value, texts as people order them; what is missing stays last either way.
  function compare(a, b, sign) {
    const missing = ("none" in a.dataset) - ("none" in b.dataset);
    if (missing || "none" in a.dataset) return missing;
    if (a.dataset.value !== undefined && b.dataset.value !== undefined) {
      return sign * (Number(a.dataset.value) - Number(b.dataset.value));
    }
    return sign * a.textContent.localeCompare(b.textContent, "en", { numeric: true });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const first = head.classList.contains("number") ? "descending" : "ascending";
        const second = first === "ascending" ? "descending" : "ascending";
        const order = head.getAttribute("aria-sort") === first ? second : first;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const rows = [...body.rows];
        rows.sort((a, b) => compare(a.cells[column], b.cells[column], sign));
        body.append(...rows);
      });
    });
  }

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch { // not allowed here: select it, so that it can be copied by hand
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
    });
  }

  const seconds = Number(document.body.dataset.reload);
  if (seconds) setInterval(() => document.hidden || location.reload(), 1000 * seconds);
})();
