// Draws the numbers that the page carries; everything that they say stands in its text and tables, too.
"use strict";

(() => {
  const HEIGHT = 220;
  const SPARK = { width: 120, height: 28 };
  const paths = {
    line: uPlot.paths.linear(),
    steps: uPlot.paths.stepped({ align: 1 }),
    bars: uPlot.paths.bars({ size: [0.8, 40] }),
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const inUtc = (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC");

  function series(one, place, isSmall) {
    const stroke = colour(place ? "--second" : "--first");
    const isBars = one.kind === "bars";
    return {
      label: one.label,
      stroke,
      fill: isBars ? stroke : undefined,
      width: isBars ? 0 : isSmall ? 1.5 : 2,
      paths: paths[one.kind],
      // A value between two holes would not be seen otherwise.
      points: { show: !isBars && !isSmall, size: 5 },
      spanGaps: false,
    };
  }

  function axis() {
    const line = { stroke: colour("--line"), width: 1 };
    return { stroke: colour("--quiet"), grid: line, ticks: line };
  }

  // Counts begin at nothing, whatever else they do.
  const range = (_plot, least, most) => {
    const [low, high] = [Math.min(0, least ?? 0), Math.max(0, most ?? 0)];
    const room = (high - low || 1) * 0.05;
    return [low && low - room, high || !low ? (high || 1) + room : 0];
  };

  function options(chart, holder, isSmall) {
    return {
      ...(isSmall ? SPARK : { width: holder.clientWidth, height: HEIGHT }),
      tzDate: inUtc,
      series: [{}, ...chart.series.map((one, place) => series(one, place, isSmall))],
      axes: isSmall ? [{ show: false }, { show: false }] : [axis(), { ...axis(), size: 70 }],
      scales: { y: { range } },
      legend: { show: !isSmall },
      cursor: { show: !isSmall },
      padding: isSmall ? [2, 2, 2, 2] : undefined,
    };
  }

  function draw(holder) {
    const chart = JSON.parse(holder.dataset.chart);
    const data = [chart.times, ...chart.series.map((one) => one.values)];
    const isSmall = holder.classList.contains("spark");
    holder.replaceChildren();
    holder.plot = new uPlot(options(chart, holder, isSmall), data, holder);
  }

  const holders = [...document.querySelectorAll("[data-chart]")];
  const drawAll = () => holders.forEach(draw);
  const widths = new ResizeObserver((changes) => {
    for (const { target } of changes) {
      if (target.plot && target.clientWidth !== target.plot.width) {
        target.plot.setSize({ width: target.clientWidth, height: HEIGHT });
      }
    }
  });

  drawAll();
  holders.filter((holder) => holder.classList.contains("chart")).forEach((holder) => widths.observe(holder));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
})();
