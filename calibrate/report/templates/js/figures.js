// The figures of a band at its chosen threshold: computed for all parts of the page, and shown as a list.

// Everything that is known at a threshold, or null where the band is off.
function figuresAt(policyPlace, bandPlace, numbers) {
  const threshold = CHOSEN[policyPlace][bandPlace];
  if (threshold === null) return null;
  const policy = PAGE.policies[policyPlace];
  const cut = cutAt(numbers, threshold);
  const taken = takenFrom(policyPlace, bandPlace, numbers);
  return {
    cut,
    taken,
    ...reading(policy, numbers, policy.bands[bandPlace], cut),
    ...consequences(policy, numbers, cut, taken),
    volume: volume(policy, numbers, cut, taken),
    probability: probabilityOf(policy, threshold),
  };
}

// A list of terms with their values and notes; its update takes the figures.
function figureList(policy, band, numbers) {
  const record = band.record;
  const isReview = REVIEWING.has(record.action);
  const unit = policy.traffic ? "day" : "sample";
  const rows = [
    ["precision", (f) => shown(f.precision, percent), (f) => f.lower === null ? "" : words("figure.lower", { bound: percent(f.lower) }), (f) => over(f, "all")],
    ["recall", (f) => shown(f.recall, percent), (f) => f.interval === null ? "" : words("figure.interval", { low: percent(f.interval[0]), high: percent(f.interval[1]) }), (f) => over(f, "caught")],
    [`posts.${unit}`, (f) => (f.volume ? shownVolume(f.volume) : shown(f.posts, estimate)), (f) => ownPart(f)],
    [`${isReview ? "needless" : "wrongful"}.${unit}`, (f) => shown(f.wrongful, estimate), () => words("figure.estimated"), (f) => (f.taken === null ? "" : words("over.own"))],
    [`left.${unit}`, (f) => shown(f.left, estimate), () => words(policy.floor === null ? "figure.left" : "figure.left_above")],
    isReview && policy.traffic ? ["hours", (f) => estimate(reviewHours(f.posts)), (f) => ofCapacity(record, f)] : null,
    ["ribbon", (f) => shown(f.ribbon, percent), () => words(band.has_ribbon ? "figure.holds" : "figure.no_ribbon")],
    ["labels", (f) => whole(f.labelled), (f) => words("figure.flagged", { n: f.flagged, all: whole(policy.n_labelled + policy.n_unknown) }), (f) => over(f, "all")],
  ].filter(Boolean);
  const cells = rows.map(([name, value, note, posts]) => {
    const parts = { value: element("dd", { class: "value", "data-figure": name.split(".")[0] }), note: element("dd", { class: "note" }), over: element("dd", { class: "over" }) };
    return { ...parts, node: element("div", { class: `figure ${name.split(".")[0]}` }, element("dt", {}, words(`figure.${name}`)), parts.value, parts.over, parts.note), show: value, explain: note, posts };
  });
  const list = element("dl", { class: "figures" }, cells.map((cell) => cell.node));
  const lack = record.certified_range !== null || record.threshold !== null ? null : lacking(policy, band, numbers);
  return {
    node: element("div", {}, list, lack),
    update(figures) {
      list.hidden = figures === null && lack !== null;
      if (lack) lack.hidden = figures !== null;
      for (const cell of cells) {
        say(cell.value, figures ? cell.show(figures) : "–");
        say(cell.note, figures ? cell.explain(figures) : "");
        say(cell.over, figures && cell.posts ? cell.posts(figures) : "");
      }
    },
  };

  // Which posts a share is of: all from the threshold on, however many of them the bands before take.
  function over(f, name) {
    const posts = f.taken === null ? name : `${name}_taken`;
    return words(`over.${posts}`, { threshold: shownThreshold(f.threshold) });
  }

  function ownPart(f) {
    if (f.taken === null) return words("figure.from", { threshold: shownThreshold(f.threshold) });
    return f.volume && f.volume.high === 0 ? words("figure.taken") : words("figure.part", { threshold: shownThreshold(f.threshold) });
  }
}

function shown(value, format) {
  return value === null || value === undefined ? "–" : format(value);
}

// Review work against what the band was given.
function ofCapacity(record, figures) {
  if (record.kind !== "capacity") return words("figure.at_pace", { seconds: whole(SETTINGS.reviewSeconds) });
  return words("figure.of_capacity", {
    hours: estimate(reviewHours(record.target)),
    used: percent(figures.posts / record.target),
  });
}
