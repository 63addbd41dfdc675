// Draws the numbers that the page carries; everything that they say stands in its text and tables, too.
"use strict";

(() => {
  const HEIGHT = 220;
  const DAY_S = 86400;
  const SPARK = { width: 120, height: 28 };
  const paths = {
    line: uPlot.paths.linear(),
    steps: uPlot.paths.stepped({ align: 1 }),
    bars: uPlot.paths.bars({ size: [0.8, 40] }),
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const inUtc = (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC");

  // Numbers are written as everywhere on the page, too; what hangs below the line keeps its own sign.
  const NUMBER = new Intl.NumberFormat("en");
  const counted = (number) => NUMBER.format(number).replaceAll(",", "\u202f");
  const told = (one, value) => (value == null ? "\u2013" : counted(one.is_downward ? -value || 0 : value));

  function series(one, place, isSmall) {
    const stroke = colour(place ? "--second" : "--first");
    const isBars = one.kind === "bars";
    return {
      label: one.label,
      value: (_plot, value) => told(one, value),
      stroke,
      fill: isBars ? stroke : undefined,
      width: isBars ? 0 : isSmall ? 1.5 : 2,
      paths: paths[one.kind],
      // A value between two holes would not be seen otherwise.
      points: { show: !isBars && !isSmall, size: 5 },
      spanGaps: false,
    };
  }

  // Times are written as everywhere on the page: in UTC, and the same in every country.
  const written = (seconds, isDay) => {
    const iso = new Date(seconds * 1e3).toISOString();
    return isDay ? iso.slice(0, 10) : iso.slice(0, 16).replace("T", " ");
  };

  function axis() {
    const line = { stroke: colour("--line"), width: 1 };
    return { stroke: colour("--quiet"), grid: line, ticks: line };
  }

  function axisOfTime() {
    const values = (_plot, splits, _place, _space, step) => splits.map((at) => written(at, step >= DAY_S));
    return { ...axis(), space: 110, values };
  }

  function axisOfCounts(chart) {
    const isMirrored = chart.series.some((one) => one.is_downward);
    const values = (_plot, splits) => splits.map((at) => counted(isMirrored ? Math.abs(at) : at));
    return { ...axis(), size: 70, values };
  }

  // Counts begin at nothing, whatever else they do.
  const range = (_plot, least, most) => {
    const [low, high] = [Math.min(0, least ?? 0), Math.max(0, most ?? 0)];
    const room = (high - low || 1) * 0.05;
    return [low && low - room, high || !low ? (high || 1) + room : 0];
  };

  function options(chart, holder, isSmall) {
    const isDaily = chart.series.every((one) => one.kind !== "steps");
    const room = chart.series.some((one) => one.kind === "bars") ? DAY_S / 2 : 0;
    const when = { label: "UTC", value: (_plot, at) => (at == null ? "\u2013" : written(at, isDaily)) };
    return {
      ...(isSmall ? SPARK : { width: holder.clientWidth, height: HEIGHT }),
      tzDate: inUtc,
      series: [when, ...chart.series.map((one, place) => series(one, place, isSmall))],
      axes: isSmall ? [{ show: false }, { show: false }] : [axisOfTime(), axisOfCounts(chart)],
      scales: { x: { range: (_plot, from, to) => [from - room, to + room] }, y: { range } },
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
