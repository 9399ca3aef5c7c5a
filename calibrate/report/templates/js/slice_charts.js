// Small multiples: the precision of every slice along the thresholds, on one scale, with the chosen one marked.
const CHART = { width: 168, height: 74, points: 160 };

function sliceCharts(policy, bandPlace, numbers) {
  const charts = policy.slices.map((facts, row) => sliceChart(policy, bandPlace, numbers, facts, row));
  const node = element("ul", { class: "multiples" }, charts.map((chart) => chart.node));
  return {
    node,
    update: (found, figures) => charts.forEach((chart, row) => chart.update(found[row], figures)),
    show: (by) => charts.forEach((chart) => (chart.node.hidden = by !== null && chart.facts.by !== by)),
  };
}

function sliceChart(policy, bandPlace, numbers, facts, row) {
  const target = facts.tests[bandPlace]?.target ?? null;
  const line = drawn("path", { class: "line", d: outline() });
  const mark = drawn("line", { class: "now", y1: 0, y2: CHART.height });
  const dot = drawn("circle", { class: "dot", r: 3.5 });
  const svg = drawn("svg", { viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img" });
  if (target !== null) svg.append(drawn("line", { class: "target", x1: 0, x2: CHART.width, y1: y(target), y2: y(target) }));
  svg.append(line, mark, dot);
  const status = badge("rest", "");
  const value = element("span", { class: "value" });
  const head = element("p", {}, element("span", { class: "name" }, foreign(facts.by, { class: "by" }), " ", foreign(facts.value)), status);
  const node = element("li", { dir: "auto" }, head, svg, element("p", { class: "foot" }, value));
  return { facts, node, update };

  function x(threshold) {
    return CHART.width * placeOnAxis(policy, threshold);
  }

  function y(precision) {
    return 3 + (CHART.height - 6) * (1 - precision);
  }

  function at(cut) {
    const place = row * numbers.n + cut;
    const known = (numbers.slice_known ?? numbers.slice_labelled)[place];
    return known ? (numbers.slice_right ?? numbers.slice_positive)[place] / known : null;
  }

  function outline() {
    const points = [];
    const stride = Math.max(1, Math.floor(numbers.n / CHART.points));
    for (let cut = 0; cut < numbers.n; cut += stride) {
      const precision = at(cut);
      if (precision !== null) points.push([x(numbers.threshold[cut]), y(precision)]);
    }
    return points.length ? path(points) : "";
  }

  function update(now, figures) {
    const state = now?.status ?? "untested";
    status.className = `badge ${STATUS_KINDS[state]}`;
    say(status, words(`status.${state}`));
    const isSeen = now !== null && now.precision !== null;
    for (const part of [mark, dot]) part.setAttribute("visibility", isSeen ? "visible" : "hidden");
    say(value, isSeen ? words("charts.value", { precision: percent(now.precision), n: now.labelled }) : words("charts.none"));
    svg.setAttribute("aria-label", value.textContent);
    if (!isSeen) return;
    mark.setAttribute("x1", x(figures.threshold));
    mark.setAttribute("x2", x(figures.threshold));
    dot.setAttribute("cx", x(figures.threshold));
    dot.setAttribute("cy", y(now.precision));
  }
}
