// All policies at a glance.

function overview() {
  const bands = PAGE.policies.flatMap((policy, policyPlace) => policy.bands.map((band, bandPlace) => ({ policy, policyPlace, band, bandPlace })));
  const promised = bands.filter(({ band }) => band.record.kind !== "capacity");
  const certified = promised.filter(({ band }) => band.record.status === "certified").length;
  const fitting = bands.filter(({ band }) => band.record.status === "fits").length;
  const signed = [...SIGNED.values()];
  const signers = [...new Set(signed.flatMap(({ signatures }) => signatures.map(({ by }) => by)))];
  const lacking = signed.filter(({ missing, signatures }) => missing > 0 && signatures.length).length;
  const body = element("tbody", {}, bands.map(bandRow));
  const withTraffic = PAGE.evidence.traffic !== null;
  const search = PAGE.policies.length > 8 ? searchField(body, bands) : null;
  return element(
    "article", { class: "overview" },
    element(
      "header", { class: "masthead" },
      element("h1", {}, words("overview.title", { n: certified, all: whole(promised.length) })),
      element("p", { class: "lead" }, words("overview.lead", { n: PAGE.policies.length }), " ", fitting ? words("overview.fitting", { n: fitting }) : ""),
      signers.length ? element("p", { class: "lead" }, words("overview.signed", { by: signers.map(isolated).join(words("examples.and")) }), " ", lacking && !BEFORE?.signed ? words("overview.lacking", { n: lacking }) : "") : null,
    ),
    cautions(),
    search,
    element(
      "div", { class: "scroll" },
      element(
        "table", { class: "list glance" },
        element("caption", { class: "unseen" }, words("overview.caption")),
        element("thead", {}, element("tr", {}, overviewHeads(withTraffic))),
        body,
      ),
    ),
    element("p", { class: "soft" }, words("overview.figures")),
    guide(),
    section("shared", words("evidence.shared"), sharedEvidence(), element("p", { class: "soft" }, words("overview.files"))),
  );
}

function overviewHeads(withTraffic) {
  const names = ["band", "verdict", "threshold", "promise", "precision", "recall", ...(withTraffic ? ["volume"] : []), ...(PAGE.evidence.production ? ["production"] : [])];
  return names.map((name) => element("th", { scope: "col", class: name === "production" ? "number against" : ["threshold", "precision", "recall", "volume"].includes(name) ? "number" : "" }, overviewHead(name)));
}

// Of a figure its head says over which posts it is.
const NOTED = new Set(["precision", "recall", "volume"]);

function overviewLabel(name) {
  const figure = words(`overview.${name}`);
  return NOTED.has(name) ? words("overview.noted", { figure, over: words(`overview.note.${name}`) }) : figure;
}

function overviewHead(name) {
  return NOTED.has(name) ? [words(`overview.${name}`), element("span", { class: "over" }, words(`overview.note.${name}`))] : words(`overview.${name}`);
}

function bandRow({ policy, policyPlace, band, bandPlace }) {
  const record = band.record;
  const threshold = CHOSEN[policyPlace][bandPlace];
  const moved = isMoved(policyPlace, bandPlace);
  // Of a threshold that was moved the page has figures at hand where it was signed there.
  const isSigned = isSignedHere(policyPlace, bandPlace);
  const told = !moved ? { ...record, daily_volume: band.daily_volume } : isSigned ? signedOf(policyPlace, bandPlace) : null;
  const where = told && standing(band, threshold, policy.traffic ? told.daily_volume : undefined);
  const verdict = [told ? standingBadge(where) : badge("warn", words("overview.moved")), " ", signedBadge(policyPlace, bandPlace), told && !moved ? afterVerdict(band, where) : null, signedAside(policyPlace, bandPlace)];
  const cell = (name, text, kind = "number") => element("td", { class: kind, "data-label": overviewLabel(name) }, text);
  return element(
    "tr", {},
    element("th", { scope: "row" }, element("a", { href: `#/${policy.policy_id}/${bandPlace + 1}` }, foreign(policy.name, { class: "policy-name" }), " ", foreign(band.title, { class: "band-name" }))),
    cell("verdict", verdict, ""),
    cell("threshold", threshold === null ? "–" : shownThreshold(threshold)),
    cell("promise", claim(record), "wide"),
    cell("precision", shown(told?.precision, percent)),
    cell("recall", shown(told?.recall, percent)),
    PAGE.evidence.traffic ? cell("volume", told?.daily_volume ? shownVolume(told.daily_volume) : "–") : null,
    PAGE.evidence.production ? cell("production", moved ? "–" : productionCell(policy, bandPlace)) : null,
  );
}

// Who signed, and at which threshold where another one is shown.
function signedAside(policyPlace, bandPlace) {
  const kept = signedOf(policyPlace, bandPlace);
  if (!kept) return null;
  const who = signersOf(kept);
  return element("span", { class: "aside" }, isSignedHere(policyPlace, bandPlace) ? who : words("overview.signed_at", { who, threshold: shownOrOff(kept.threshold) }));
}

// What a badge alone would hide: a slice that fails, or how far away a promise is.
function afterVerdict({ record, slices_below: below }, where) {
  const more = where === "unattained" && record.labels_needed !== null ? record.labels_needed - record.n_labelled : 0;
  if (more > 0) return element("span", { class: "aside" }, words("overview.needs", { n: more, about: about(more) }));
  return where === "certified" && below ? element("span", { class: "aside bad" }, words("overview.slices_below", { n: below })) : "";
}

function searchField(body, bands) {
  const rows = [...body.rows];
  const input = element("input", {
    type: "search", id: "search",
    oninput: () => {
      const wanted = input.value.trim().toLowerCase();
      rows.forEach((row, i) => {
        const { policy, band } = bands[i];
        row.hidden = !`${policy.name} ${policy.policy_id} ${band.title} ${band.record.status}`.toLowerCase().includes(wanted);
      });
      say(found, words("overview.found", { n: rows.filter((row) => !row.hidden).length }));
    },
  });
  const found = element("span", { class: "soft", role: "status" });
  return element("p", { class: "search" }, element("label", { for: "search" }, words("overview.search")), input, found);
}

// How to read the page, in plain words.
function guide() {
  const { error_budget: budget, traffic, looks } = PAGE.evidence;
  const names = ["terms", "measures", "certified", "unattained", "estimate", ...(traffic ? ["volume"] : []), ...(looks ? ["look"] : []), budget.mode === "all" && budget.n_claims > 1 ? "together" : "alone"];
  const risk = PAGE.policies.flatMap((policy) => policy.bands).reduce((sum, band) => sum + (band.record.confidence === null ? 0 : 1 - band.record.confidence), 0);
  const values = { n: budget.n_claims, risk: percent(Math.min(1, risk)), posts: traffic ? whole(traffic.n_posts) : "" };
  return section("guide", words("guide.title"), element("div", { class: "columns" }, names.map((name) => element("div", {}, element("h3", {}, words(`guide.${name}.title`)), element("p", {}, words(`guide.${name}.text`, values))))));
}

// The method in plain words, and what exactly is claimed.
function methodView() {
  const parts = ["question", "scan", "promise", "not", "slices", "looks", "volumes"];
  return element(
    "article", { class: "method" },
    element("header", { class: "masthead" }, element("h1", {}, words("method.title")), element("p", { class: "lead" }, words("method.lead"))),
    parts.map((name) => section(`method-${name}`, words(`method.${name}.title`), element("p", {}, words(`method.${name}.text`)))),
  );
}
