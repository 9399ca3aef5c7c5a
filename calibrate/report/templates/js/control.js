// The slider on the axis of the scores, the number field, and the keys: three ways to choose a cut.
const PAGE_STEP = 20;

function control(policyPlace, bandPlace, numbers, choose) {
  const policy = PAGE.policies[policyPlace];
  const band = policy.bands[bandPlace];
  const id = `threshold-${policyPlace}-${bandPlace}`;
  const { start, width, violating } = policy.histogram;
  const slider = element("input", {
    type: "range", id: `${id}-slider`, class: "slider", min: start, max: start + width * violating.length, step: "any",
    "aria-label": words("control.slider", { action: band.title }),
    oninput: () => choose(numbers.threshold[nearest(Number(slider.value))]),
    onkeydown: (event) => step(event, SLIDER_KEYS),
  });
  const field = element("input", {
    type: "number", id, step: "any", inputmode: "decimal", autocomplete: "off",
    onchange: () => type(),
    onkeydown: (event) => (event.key === "Enter" ? type() : step(event, FIELD_KEYS)),
  });
  const note = element("p", { class: "snapped", role: "status" });
  const probability = element("span", { class: "probability" });
  const told = element("p", { class: "probability told" });
  const back = element("button", { type: "button", class: "quiet back", onclick: () => choose(band.record.threshold) });
  const off = element("button", { type: "button", class: "quiet off", onclick: () => toggle() });
  const reach = element("div", { class: "reach" });
  const range = element("div", { class: "range" });
  const others = element("div", { class: "others", "aria-hidden": "true" });
  const node = element(
    "div", { class: "control" },
    element("div", { class: "axis-box", dir: "ltr" }, scoreBars(policy), reach, range, others, slider, ticks()),
    element("p", { class: "axis-title", dir: "ltr", "aria-hidden": "true" }, words("control.axis")),
    element("div", { class: "entry" }, element("label", { for: id }, words("control.threshold")), field, note, probability, back, off),
    told,
  );
  const order = logits();
  return { node, update };

  // Logits of all cuts, to look up the nearest one; they fall.
  function logits() {
    return Float64Array.from(numbers.threshold, (threshold) => logitOf(threshold));
  }

  function nearest(logit) {
    let low = 0;
    let high = order.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (order[middle] > logit) low = middle + 1;
      else high = middle;
    }
    return low > 0 && order[low - 1] - logit < logit - order[low] ? low - 1 : low;
  }

  function step(event, keys) {
    const move = keys[event.key];
    if (move === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const threshold = CHOSEN[policyPlace][bandPlace];
    const from = threshold === null ? middleCut() : cutAt(numbers, threshold);
    choose(numbers.threshold[Math.min(numbers.n - 1, Math.max(0, from - move))]);
  }

  function type() {
    const wanted = field.value === "" ? NaN : Math.fround(Number(field.value));
    const now = CHOSEN[policyPlace][bandPlace];
    if (!Number.isFinite(wanted)) {
      if (now !== null) choose(now);
      return say(note, now === null ? "" : words("control.no_number", { nearest: typed(now) }));
    }
    // Enter is followed by a change event, which finds what is shown already: what was said of it stays.
    if (wanted === now) return undefined;
    const threshold = numbers.threshold[cutAt(numbers, wanted)];
    choose(threshold);
    return say(note, threshold === wanted ? "" : whyOther(wanted, threshold));
  }

  // Why another threshold is shown than somebody typed.
  function whyOther(wanted, threshold) {
    const [high, low] = [numbers.threshold[0], numbers.threshold[numbers.n - 1]];
    const values = { wanted: typed(wanted), nearest: typed(threshold) };
    if (PAGE.evidence.scores.scale === "probability" && (wanted < 0 || wanted > 1)) return words("control.outside", { ...values, low: "0", high: "1" });
    if (wanted > high || wanted < low) return words("control.beyond", { ...values, low: typed(low), high: typed(high) });
    return words("control.snapped", values);
  }

  function toggle() {
    choose(CHOSEN[policyPlace][bandPlace] === null ? (band.record.threshold ?? numbers.threshold[middleCut()]) : null);
  }

  // Where an exploration begins if nothing was certified: where the labels' precision meets the target, if anywhere.
  function middleCut() {
    const { known, right } = weightsOf(numbers);
    const target = band.record.tested_target ?? band.record.target;
    const all = right[numbers.n - 1];
    for (let cut = numbers.n - 1; cut >= 0 && band.record.kind === "precision"; cut--) {
      if (numbers.labelled[cut] >= 10 && right[cut] / known[cut] >= target) return cut;
    }
    const caught = band.record.kind === "recall" ? target * all : all / 2;
    const cut = right.findIndex((each) => each >= caught);
    return cut < 0 ? numbers.n - 1 : cut;
  }

  function ticks() {
    return element("div", { class: "ticks", "aria-hidden": "true" }, axisTicks(policy).map(([place, text]) => placed(element("span", {}, text), place)));
  }

  function placed(part, place) {
    part.style.left = `${100 * place}%`;
    return part;
  }

  function update(where) {
    const threshold = CHOSEN[policyPlace][bandPlace];
    const isOff = threshold === null;
    node.classList.toggle("is-off", isOff);
    slider.disabled = isOff;
    field.disabled = isOff;
    const at = isOff ? 1 : placeOnAxis(policy, threshold);
    placed(reach, at);
    if (document.activeElement !== slider || Math.abs(Number(slider.value) - logitOf(threshold ?? 0)) > 0) slider.value = isOff ? slider.max : logitOf(threshold);
    slider.setAttribute("aria-valuetext", isOff ? words("standing.off") : words("control.value", { threshold: typed(threshold), standing: words(`standing.${where ?? "certified"}`) }));
    field.value = isOff ? "" : typed(threshold);
    field.placeholder = words("standing.off");
    say(note, "");
    const share = isOff ? null : probabilityOf(policy, threshold);
    say(probability, share === null ? "" : words("control.probability", { share: percent(share) }));
    const calibrated = band.record.threshold;
    back.hidden = calibrated === null || threshold === calibrated;
    say(back, calibrated === null ? "" : words("control.back", { threshold: shownThreshold(calibrated) }));
    say(off, words(isOff ? (calibrated === null ? "control.explore" : "control.on") : "control.off"));
    const shownRange = band.record.certified_range;
    range.hidden = shownRange === null || band.record.kind === "capacity";
    // Exact, as the field takes them: a rounded end may lie outside.
    say(told, range.hidden ? "" : words("control.range", { strictest: typed(shownRange[0]), loosest: typed(shownRange[1]) }));
    if (shownRange) {
      const [right, left] = shownRange.map((each) => placeOnAxis(policy, each));
      placed(range, left);
      range.style.width = `${100 * Math.max(0.004, right - left)}%`;
    }
    others.replaceChildren(...CHOSEN[policyPlace].flatMap((each, place) => (each === null || place === bandPlace ? [] : [placed(element("span", { title: policy.bands[place].title }), placeOnAxis(policy, each))])));
  }
}

// Cuts to move towards stricter ones. On the slider all keys move by cuts, so that no cut is out of reach.
const SLIDER_KEYS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: PAGE_STEP, PageDown: -PAGE_STEP, Home: -Infinity, End: Infinity };
const FIELD_KEYS = { ArrowUp: 1, ArrowDown: -1, PageUp: PAGE_STEP, PageDown: -PAGE_STEP };
