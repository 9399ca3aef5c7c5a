// The spread of scores behind the slider: violating posts above the line, others below, the traffic behind them.

function scoreBars(policy) {
  const { violating, other, traffic } = policy.histogram;
  const n = violating.length;
  const svg = drawn("svg", { class: "bars", viewBox: `0 0 ${n} 100`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const up = bars(violating, 62, -56);
  const down = bars(other, 64, 34);
  svg.append(
    ...(traffic ? [drawn("path", { class: "traffic", d: area(traffic) })] : []),
    drawn("path", { class: "violating", d: up }),
    drawn("path", { class: "other", d: down }),
  );
  return svg;
}

// Bars from a line on; each kind is scaled by its own highest bar.
function bars(counts, line, reach) {
  const most = Math.max(1, ...counts);
  return counts.map((count, i) => (count ? `M${i + 0.06} ${line}h.88v${((reach * count) / most).toFixed(2)}h-.88z` : "")).join("");
}

function area(counts) {
  const most = Math.max(1, ...counts);
  const tops = counts.map((count, i) => `L${i} ${(62 - (60 * count) / most).toFixed(2)}h1`);
  return `M0 62${tops.join("")}L${counts.length} 62z`;
}

// The place of a threshold on the axis, from 0 to 1.
function placeOnAxis(policy, threshold) {
  const { start, width, violating } = policy.histogram;
  return Math.min(1, Math.max(0, (logitOf(threshold) - start) / (width * violating.length)));
}

// Round scores along the axis, as they are served.
function axisTicks(policy) {
  const { start, width, violating } = policy.histogram;
  const reach = width * violating.length;
  const logits = Array.from({ length: 7 }, (_, i) => start + (reach * (i + 0.5)) / 7);
  if (PAGE.evidence.scores.scale === "probability") {
    const shares = [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999];
    return shares.map((share) => [placeOnAxis(policy, share), shownThreshold(share)]).filter(([place]) => place > 0.01 && place < 0.99);
  }
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10].find((each) => reach / each <= 9) ?? 10;
  const begin = Math.ceil(logits[0] / step) * step;
  const ticks = [];
  for (let value = begin; value < start + reach; value += step) ticks.push([placeOnAxis(policy, value), grouped(fixed(value, step < 1 ? 1 : 0))]);
  return ticks.filter(([place]) => place > 0.01 && place < 0.99);
}
