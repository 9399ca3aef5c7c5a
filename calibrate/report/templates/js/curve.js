// The precision-recall curve: a ribbon that holds everywhere at once, the certified range, the bands, the choice.
const MARGIN = { left: 54, right: 14, top: 28, bottom: 38 };

function curve(policyPlace, bandPlace, numbers, choose) {
  const policy = PAGE.policies[policyPlace];
  const band = policy.bands[bandPlace];
  const { known, right } = weightsOf(numbers);
  const all = right[numbers.n - 1];
  if (!(all > 0)) return null;
  const first = numbers.labelled.findIndex((n) => n > 0);
  const cuts = Array.from({ length: numbers.n - first }, (_, i) => first + i);
  const svg = drawn("svg", { class: "curve", role: "img", preserveAspectRatio: "xMidYMid meet" });
  const node = element("div", { class: "plot", dir: "ltr" }, svg);
  const target = band.record.tested_target ?? band.record.target;
  const served = productionPoint(policy, bandPlace);
  const isPrecision = band.record.kind === "precision";
  let floor = wantedFloor();
  let scale = null;
  let live = null;

  new ResizeObserver(() => {
    const width = Math.round(node.clientWidth);
    if (width > 0 && (!scale || width !== scale.width)) draw(width);
  }).observe(node);
  node.addEventListener("pointerdown", (event) => {
    pick(event);
    node.setPointerCapture(event.pointerId);
  });
  node.addEventListener("pointermove", (event) => event.buttons && pick(event));
  return { node, update };

  // Where the precisions begin: a little below those that matter, so that differences near the target can be seen.
  // Where no band is on, the whole curve matters: it may lie far below the target.
  function wantedFloor() {
    const on = CHOSEN[policyPlace].filter((threshold) => threshold !== null);
    const places = on.length ? on.map((threshold) => cutAt(numbers, threshold)) : [numbers.n - 1];
    const precisions = places.filter((cut) => known[cut] > 0).map((cut) => right[cut] / known[cut]);
    const least = Math.min(0.95, isPrecision ? target : 1, served?.precision ?? 1, ...precisions);
    return Math.max(0, Math.floor(10 * (least - 1.2 * (1 - least))) / 10);
  }

  function draw(width) {
    const height = Math.round(Math.min(340, Math.max(230, width * 0.5)));
    const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
    const x = (recall) => MARGIN.left + inner.width * recall;
    const y = (precision) => MARGIN.top + (inner.height * (1 - precision)) / (1 - floor);
    scale = { width, height, x, y, inner };
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    live = { range: drawn("rect", { class: "certified" }), marks: drawn("g"), halo: drawn("circle", { class: "halo", r: 11 }), dot: drawn("circle", { class: "dot", r: 5.5 }), text: drawn("text", { class: "mark" }) };
    const line = cuts.map((cut) => [x(right[cut] / all), y(right[cut] / known[cut])]);
    const frame = drawn("clipPath", { id: "frame" }, drawn("rect", { x: 0, y: 0, width, height: height - MARGIN.bottom }));
    const inside = drawn("g", { "clip-path": "url(#frame)" }, band.has_ribbon ? ribbon(line) : null, targetLine(), drawn("path", { class: "line", d: path(line) }));
    svg.replaceChildren(frame, live.range, ...grid(), inside, live.marks, live.halo, live.dot, live.text);
    certifiedRange();
    update(figuresAt(policyPlace, bandPlace, numbers));
  }

  function grid() {
    const step = floor >= 0.9 ? 0.02 : floor >= 0.7 ? 0.05 : floor >= 0.4 ? 0.1 : 0.2;
    const precisions = Array.from({ length: Math.floor((1 - floor) / step + 1e-9) + 1 }, (_, i) => 1 - i * step);
    const { x, y, height, width } = scale;
    const shares = width < 420 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1];
    return [
      ...precisions.flatMap((p) => [
        drawn("line", { class: "grid", x1: x(0), x2: x(1), y1: y(p), y2: y(p) }),
        drawn("text", { class: "tick", x: MARGIN.left - 8, y: y(p) + 4, "text-anchor": "end" }, percent(Math.round(100 * p) / 100)),
      ]),
      ...shares.map((r) => drawn("text", { class: "tick", x: x(r), y: height - 20, "text-anchor": r === 1 ? "end" : "middle" }, percent(r))),
      drawn("text", { class: "axis", x: 0, y: 12 }, words("curve.precision")),
      drawn("text", { class: "axis", x: x(1), y: height - 4, "text-anchor": "end" }, words(policy.floor === null ? "curve.recall" : "curve.recall_above")),
    ];
  }

  function ribbon(line) {
    const below = cuts.map((cut) => [scale.x(right[cut] / all), scale.y(ribbonAt(numbers, band, cut))]);
    return drawn("path", { class: "ribbon", d: `${path([...line, ...below.reverse()])}Z` });
  }

  function targetLine() {
    if (band.record.kind === "capacity") return drawn("g");
    const { x, y, height } = scale;
    const ends = isPrecision
      ? { x1: x(0), x2: x(1), y1: y(target), y2: y(target) }
      : { x1: x(target), x2: x(target), y1: MARGIN.top, y2: height - MARGIN.bottom };
    return drawn("line", { class: "target", ...ends });
  }

  function certifiedRange() {
    const range = band.record.kind === "capacity" ? null : band.record.certified_range;
    if (!range) return live.range.setAttribute("visibility", "hidden");
    const [from, to] = range.map((threshold) => scale.x(right[cutAt(numbers, threshold)] / all));
    for (const [name, value] of Object.entries({ x: from, y: MARGIN.top, width: Math.max(2, to - from), height: scale.inner.height })) live.range.setAttribute(name, value);
    return undefined;
  }

  // The line and its ribbon stay as they are; only marks move, until a chosen point would lie below the drawing.
  function update(figures) {
    if (!scale) return;
    const wanted = wantedFloor();
    if (wanted < floor) {
      floor = wanted;
      draw(scale.width);
      return;
    }
    const chosen = CHOSEN[policyPlace];
    live.marks.replaceChildren(...production(), ...chosen.flatMap((threshold, place) => (threshold === null || place === bandPlace ? [] : other(threshold, policy.bands[place].title))));
    const isSeen = figures !== null && figures.precision !== null && figures.recall !== null;
    for (const part of [live.halo, live.dot, live.text]) part.setAttribute("visibility", isSeen ? "visible" : "hidden");
    svg.setAttribute("aria-label", isSeen ? words("curve.label", { precision: percent(figures.precision), recall: percent(figures.recall) }) : words("curve.empty"));
    if (!isSeen) return;
    const [cx, cy] = [scale.x(figures.recall), scale.y(figures.precision)];
    for (const part of [live.halo, live.dot]) {
      part.setAttribute("cx", cx);
      part.setAttribute("cy", cy);
    }
    const isRight = cx > scale.width - 110;
    live.text.setAttribute("x", cx + (isRight ? -14 : 14));
    live.text.setAttribute("y", cy + (cy > scale.height - MARGIN.bottom - 30 ? -14 : 24));
    live.text.setAttribute("text-anchor", isRight ? "end" : "start");
    live.text.textContent = shownThreshold(figures.threshold);
  }

  function other(threshold, title) {
    const cut = cutAt(numbers, threshold);
    if (!numbers.labelled[cut]) return [];
    const [cx, cy] = [scale.x(right[cut] / all), scale.y(right[cut] / known[cut])];
    return [drawn("circle", { class: "other", cx, cy, r: 4.5 }, drawn("title", {}, `${isolated(title)} ${shownThreshold(threshold)}`))];
  }

  function production() {
    if (!served) return [];
    const [cx, cy] = [scale.x(served.recall), scale.y(served.precision)];
    return [drawn("path", { class: "served", d: `M${cx - 7} ${cy}l7 -7l7 7l-7 7z` }, drawn("title", {}, words("legend.production")))];
  }

  // The cut whose recall lies nearest to the pointer.
  function pick(event) {
    const box = svg.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width) * scale.width;
    const wanted = ((share - MARGIN.left) / scale.inner.width) * all;
    const below = lastAtMost(right, first, wanted);
    const isAbove = below + 1 < numbers.n && (below < first || right[below + 1] - wanted <= wanted - right[below]);
    choose(numbers.threshold[isAbove ? lastAtMost(right, first, right[below + 1]) : below]);
  }
}

// The last place, from `first` on, whose value is at most the wanted one, among values that never fall; else first - 1.
function lastAtMost(values, first, wanted) {
  let low = first;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= wanted) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function path(points) {
  return `M${points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;
}
