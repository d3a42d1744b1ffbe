// Draws the charts of a page from the numbers that it carries.
"use strict";
(() => {
  // The colours are those of the style sheet, which knows whether it is dark.
  const colour = (name) => {
    const probe = document.createElement("span");
    probe.className = name;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const draw = (figure) => {
    const numbers = JSON.parse(figure.dataset.numbers);
    const [accent, good, bad, faint] = ["chart-accent", "chart-good", "chart-bad", "faint"].map(colour);
    const bars = uPlot.paths.bars;
    const total = numbers.succeeded.map((count, index) => count + numbers.failed[index]);
    // Half a bar's room at both ends.
    const step = numbers.at.length > 1 ? numbers.at[1] - numbers.at[0] : 3600;
    const clock = (seconds) => {
      const at = new Date(seconds * 1000).toISOString();
      return seconds % 86400 ? at.slice(11, 16) : at.slice(5, 10);
    };
    const axis = { stroke: faint, grid: { stroke: colour("chart-line"), width: 1 }, ticks: { show: false } };
    const options = {
      width: Math.max(200, figure.clientWidth),
      height: 200,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: { x: { range: (_, low, high) => [low - 0.6 * step, high + 0.6 * step] }, y: { range: (_, low, high) => [0, Math.max(1, Math.ceil(high * 1.05))] } },
      axes: [{ ...axis, values: (_, splits) => splits.map(clock) }, { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6] }],
      series: [
        {},
        { label: "Leads", fill: accent, width: 0, points: { show: false }, paths: bars({ size: [0.36, 40], align: -1 }) },
        { label: "Failed", fill: bad, width: 0, points: { show: false }, paths: bars({ size: [0.36, 40], align: 1 }) },
        { label: "Delivered", fill: good, width: 0, points: { show: false }, paths: bars({ size: [0.36, 40], align: 1 }) },
      ],
    };
    // The sum first, and over it what succeeded: what is left to see of the sum has failed.
    const data = [numbers.at, numbers.leads, total, numbers.succeeded];
    const words = document.createElement("p");
    words.className = "faint chart-words";
    options.hooks = {
      setCursor: [
        ({ cursor: { idx } }) => {
          if (idx == null) return;
          const at = new Date(numbers.at[idx] * 1000).toISOString().slice(0, 16).replace("T", " ");
          const took = numbers.p95[idx] == null ? "" : `, p50 ${numbers.p50[idx]} ms, p95 ${numbers.p95[idx]} ms`;
          words.textContent = `${at} UTC: ${numbers.leads[idx]} leads, ${numbers.succeeded[idx]} delivered, ${numbers.failed[idx]} failed${took}`;
        },
      ],
    };
    figure.replaceChildren();
    const plot = new uPlot(options, data, figure);
    figure.after(words);
    return plot;
  };
  const begin = () => {
    for (const figure of document.querySelectorAll("[data-numbers]")) {
      const image = figure.innerHTML;
      let plot;
      try {
        plot = draw(figure);
      } catch (error) {
        // What the server has drawn is as good.
        figure.innerHTML = image;
        continue;
      }
      new ResizeObserver(() => plot.setSize({ width: Math.max(200, figure.clientWidth), height: 200 })).observe(figure);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
    }
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
