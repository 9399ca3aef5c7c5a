// What stands in place of the figures where nothing could be promised: what the labels hold, and what would help.
const FEWEST_SHOWN = 10; // known labels above a threshold, for its precision to be worth a word

function lacking(policy, band, numbers) {
  const { record } = band;
  const rows = [
    ["now", whole(record.n_labelled), ""],
    record.labels_needed && ["needed", words("figure.needed_value", { about: about(record.labels_needed) }), words("figure.an_estimate")],
  ].filter(Boolean);
  const list = element("dl", { class: "figures" }, rows.map(([name, value, note]) => element("div", { class: "figure" }, element("dt", {}, words(`figure.${name}`)), element("dd", { class: "value" }, value), element("dd", { class: "note" }, note))));
  return element("div", { class: "lacking" }, list, element("h3", {}, words("help.title")), element("ul", {}, advice(policy, band, numbers).map((text) => element("li", {}, text))));
}

// Sentences: how many labels at the least, above which score they are nearest to the target, and what else would do.
function advice(policy, band, numbers) {
  const { record } = band;
  const told = [];
  if (record.kind === "precision" && policy.no_evidence === null) {
    const target = record.tested_target ?? record.target;
    // Weights, an auditor or a change of traffic move that number either way.
    const isPlain = !policy.is_weighted && band.how !== "auditor" && record.prior_shift === null;
    if (isPlain) told.push(words("help.least", { n: fewestLabels(target, record), target: percent(target) }));
    const best = bestCut(numbers);
    if (best !== null) told.push(words("help.best", bestValues(numbers, best)));
    const more = record.labels_needed === null ? null : record.labels_needed - record.n_labelled;
    told.push(more === null ? words("help.hopeless") : more > 0 ? words("missing.labels", { n: more, about: about(more) }) : words("missing.close"));
  } else {
    told.push(isolated(record.reason));
  }
  return [...told, words("help.explore", { explore: words("control.explore") })];
}

// Labels above one threshold fixed beforehand that show a precision if every one of them violates: no test takes fewer.
function fewestLabels(target, record) {
  return Math.ceil(Math.log(1 - record.confidence) / Math.log(target) - 1e-9);
}

// Of the thresholds with labels enough, the one with the highest share of violating ones, the loosest where alike.
function bestCut(numbers) {
  const { known, right } = weightsOf(numbers);
  let best = null;
  for (let cut = 0; cut < numbers.n; cut++) {
    if (numbers.labelled[cut] >= FEWEST_SHOWN && (best === null || right[cut] / known[cut] >= right[best] / known[best])) best = cut;
  }
  return best;
}

function bestValues(numbers, cut) {
  const { known, right } = weightsOf(numbers);
  return { n: numbers.labelled[cut], fewest: whole(FEWEST_SHOWN), precision: percent(right[cut] / known[cut]), threshold: shownThreshold(numbers.threshold[cut]) };
}
