// Draws each [data-chart] with uPlot: times and values from its JSON, colours from the page's own tokens.

const drawn = new Map();

function draw(plot) {
  const { times, values, zone, labels } = JSON.parse(document.getElementById(plot.dataset.chart).textContent);
  const ink = getComputedStyle(plot).color;
  const rule = getComputedStyle(plot).borderTopColor;
  const hues = [...plot.querySelectorAll("i")].map((mark) => getComputedStyle(mark).color);
  const clock = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone });
  const font = `11px ${getComputedStyle(plot).fontFamily}`;
  const axis = { stroke: ink, font, ticks: { show: false }, grid: { stroke: rule, width: 1 } };
  const readout = document.createElement("output");
  drawn.get(plot)?.destroy();
  plot.querySelector("output")?.remove();
  plot.append(readout);
  const say = ({ cursor: { idx } }) => {
    readout.textContent = idx == null ? "" : [clock.format(times[idx] * 1000), ...labels.map((label, at) => `${label} ${values[at][idx]}`)].join(" · ");
  };
  const options = {
    width: plot.clientWidth,
    height: plot.clientHeight,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { y: { range: (_chart, _least, most) => [0, Math.max(most * 1.1, 4)] } },
    axes: [
      { ...axis, grid: { show: false }, size: 24, values: (_chart, splits) => splits.map((at) => clock.format(at * 1000)) },
      { ...axis, size: 36, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000, 100000] },
    ],
    series: [{}, ...labels.map((label, at) => ({ label, stroke: hues[at], width: 1.5, points: { show: false } }))],
    hooks: { setCursor: [say] },
  };
  drawn.set(plot, new uPlot(options, [times, ...values], plot));
}

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) drawn.get(target)?.setSize({ width: target.clientWidth, height: target.clientHeight });
});

function drawAll() {
  for (const plot of drawn.keys()) if (!plot.isConnected) drawn.delete(plot);
  for (const plot of document.querySelectorAll("[data-chart]")) {
    draw(plot);
    sizes.observe(plot);
  }
}

drawAll();
document.addEventListener("htmx:afterSettle", (event) => event.target.querySelector?.("[data-chart]") && drawAll());
document.addEventListener("console:theme", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
