// What everything rests on: the golden set, how it was used, how the threshold was found, digests.

function facts(pairs) {
  const rows = pairs.filter((pair) => pair && pair[1] !== null && pair[1] !== undefined && pair[1] !== "");
  return element("dl", { class: "facts" }, rows.map(([name, value]) => element("div", {}, element("dt", {}, words(`evidence.${name}`)), element("dd", {}, value))));
}

function span(dates) {
  if (dates === null) return null;
  const [from, to] = dates;
  const [first, last] = [from, to].map((date) => foreign(date, { class: "date" }));
  return from === to ? first : element("span", {}, first, " – ", last);
}

// The golden set and all that policies share.
function sharedEvidence({ isOnPaper = false } = {}) {
  const { golden_set: golden, scores, traffic, error_budget: budget, pilot_digest: pilot } = PAGE.evidence;
  const told = [
    ["golden", foreign(`${golden.name} ${golden.version}`)],
    ["items", whole(golden.n_items)],
    ["population", foreign(golden.population)],
    ["window", golden.window && foreign(golden.window)],
    ["design", words(`design.${golden.design}`)],
    ["floor", golden.floor === null ? null : `${shownThreshold(golden.floor)} (${golden.floor_policy ?? ""})`],
    ["created", span(PAGE.evidence.created)],
    ["annotated", span(PAGE.evidence.annotated)],
    ["expires", golden.expires_at],
    ["looks", PAGE.evidence.looks && foreign(PAGE.evidence.looks)],
    ["budget", words(`budget.${budget.mode}`, { n: budget.n_claims })],
    ["corrections", PAGE.evidence.corrections.length ? PAGE.evidence.corrections.join(" ") : words("evidence.uncorrected")],
    ["traffic", traffic && words("evidence.traffic_counted", { posts: whole(traffic.n_posts), n: traffic.days, days: grouped(String(traffic.days)), share: percent(traffic.sampled_share) })],
    ["model", scores.model_digest === null ? words("evidence.foreign") : null],
    ["runtime", scores.runtime && foreign(scores.runtime)],
    ["precisions", otherPrecisions(PAGE.evidence.precisions)],
    ["pilot", pilot === null ? words("evidence.no_pilot") : null],
  ];
  const digests = [
    ["model", scores.model_digest && digest(scores.model_digest)],
    ["golden_digest", digest(golden.digest)],
    ["scores_digest", digest(scores.digest)],
    ["traffic_digest", traffic && digest(traffic.digest)],
    ["production", PAGE.evidence.production && digest(PAGE.evidence.production.scores_digest)],
    ["pilot", pilot && digest(pilot)],
    ["calibration", digest(PAGE.calibration)],
  ];
  if (isOnPaper) return facts([...told, ...digests]);
  return element("div", {}, facts(told), element("details", { class: "digests" }, element("summary", {}, words("evidence.digests")), facts(digests)));
}

// The model in fewer bits decides by thresholds of its own, certified in the same look.
function otherPrecisions(found) {
  const items = found.map(({ name, flips, decisions, passed }) => element("li", {}, words(`precisions.${passed ? "passed" : "refused"}`, { name: isolated(name), n: flips, all: whole(decisions), share: percent(flips / decisions) })));
  return items.length ? element("ul", { class: "plain" }, items) : null;
}

function digest(text) {
  return element("code", {}, text);
}

// What must be known before anything on the page is believed.
function cautions() {
  const { golden_set: golden, reuse } = PAGE.evidence;
  return [
    golden.n_sharing_cluster ? caution(words("caution.clusters", { n: golden.n_sharing_cluster, all: whole(golden.n_items) })) : null,
    reuse === null ? null : caution(words("caution.reuse", { reuse: isolated(reuse) })),
  ];
}

function caution(text) {
  return element("p", { class: "caution" }, text);
}

// One policy's own: labels, agreement, how its band was tested, and under which assumptions.
function policyEvidence(policy, bandPlace) {
  const { record, how } = policy.bands[bandPlace];
  return section(
    "evidence", words("evidence.title"),
    element(
      "div", { class: "columns" },
      element(
        "div", {},
        element("h3", {}, words("evidence.labels")),
        facts([
          ["labelled", whole(policy.n_labelled)],
          ["positive", whole(policy.n_positive)],
          ["unknown", whole(policy.n_unknown)],
          ["agreement", policy.agreement === null ? words("evidence.no_agreement") : words("evidence.alpha", { alpha: grouped(fixed(policy.agreement, 2)) })],
          ["weighted", policy.is_weighted ? words("evidence.is_weighted") : null],
          ["shift", record.prior_shift && words("evidence.shifted", shiftValues(record.prior_shift))],
          ["look", record.look && words("evidence.look_spent", { n: record.look.number, spent: percent(record.look.spent) })],
          ["tested", record.tested_target && percent(record.tested_target)],
        ]),
        probabilities(policy),
      ),
      element(
        "div", {},
        element("h3", {}, words("evidence.how")),
        element("p", {}, foreign(record.reason)),
        how === null ? null : element("p", {}, words(`how.${how}`)),
        record.assumptions.length ? element("h3", {}, words("evidence.holds_if")) : null,
        element("ul", {}, record.assumptions.map((sentence) => element("li", {}, foreign(sentence)))),
        record.method === "none" ? null : element("details", { class: "exactly" }, element("summary", {}, words("evidence.technical")), element("p", {}, words("evidence.method", { method: isolated(record.method) }))),
        element("p", {}, element("a", { href: "#/method" }, words("evidence.statement"))),
      ),
    ),
    element("details", {}, element("summary", {}, words("evidence.shared")), sharedEvidence()),
  );
}

function shiftValues(shift) {
  const ratio = shift.estimate === null ? words("evidence.many") : shownThreshold(shift.estimate);
  return { ratio, lower: shownThreshold(shift.lower), n: shift.n_recent };
}

function probabilities(policy) {
  const { reason, expected_calibration_error: error, n_labelled: n } = policy.calibrator;
  if (reason !== null) return element("p", { class: "soft" }, words("evidence.unfitted", { reason: isolated(reason) }));
  const points = error === null ? null : grouped(fixed(100 * error, 1));
  return element("p", { class: "soft" }, words(points === null ? "evidence.fitted" : "evidence.fitted_off", { n, points: points ?? "" }));
}
