// The page of one policy: a verdict in words, the curve, the slider, figures, slices, evidence.

function policyView(policyPlace, bandPlace, numbers) {
  const policy = PAGE.policies[policyPlace];
  const band = policy.bands[bandPlace];
  const state = element("p", { class: "state" });
  const sentence = element("h2", { class: "verdict" });
  const moved = element("p", { class: "moved" });
  const spoken = element("p", { class: "unseen", "aria-live": "polite" });
  const list = figureList(policy, band, numbers);
  const tabs = bandTabs(policyPlace, bandPlace);
  const drawing = numbers.n ? curve(policyPlace, bandPlace, numbers, choose) : null;
  const handle = numbers.n ? control(policyPlace, bandPlace, numbers, choose) : null;
  const slices = sliceSection(policy, bandPlace, numbers);
  const against = productionSection(policy, bandPlace, numbers);
  const examples = exampleSection(policyPlace, bandPlace);
  const pace = REVIEWING.has(band.record.action) && policy.traffic ? reviewPace(() => update()) : null;
  const order = element("div", { class: "order" });
  const printed = element("table", { class: "list" });
  const signatures = signedNote(policyPlace, bandPlace);
  let speaking = 0;
  let ordered = null;
  const node = element(
    "article", { class: "policy", onprinting: () => printed.replaceChildren(...bandsInPrint(policyPlace, numbers)) },
    masthead(policy, policyPlace),
    tabs.node,
    element(
      "div", { class: "panel", id: "panel", role: "tabpanel", "aria-labelledby": `tab-${bandPlace}` },
      element("div", { class: "words" }, state, sentence, moved, signatures.node, spoken),
      element(
        "div", { class: "board" },
        element("div", { class: "drawings" }, drawing?.node ?? element("p", { class: "soft" }, words("curve.none")), drawing ? legend(policy, band, bandPlace) : null, handle?.node, handle ? scoreLegend(policy) : null),
        element("div", { class: "numbers" }, list.node, pace, element("button", { type: "button", class: "strong choose", onclick: () => openChoice(policyPlace) }, words("choice.open"))),
      ),
      order,
      element("div", { class: "in-print" }, printed, element("h3", {}, words("evidence.shared")), sharedEvidence({ isOnPaper: true })),
      against.node,
      slices.node,
      examples.node,
      policyEvidence(policy, bandPlace),
    ),
  );
  update();
  return node;

  function choose(threshold) {
    CHOSEN[policyPlace][bandPlace] = threshold;
    update();
  }

  function update() {
    const figures = figuresAt(policyPlace, bandPlace, numbers);
    const where = standing(band, CHOSEN[policyPlace][bandPlace], policy.traffic ? (figures?.volume ?? null) : undefined);
    node.dataset.standing = where;
    state.replaceChildren(...[standingBadge(where), signedBadge(policyPlace, bandPlace)].filter(Boolean));
    signatures.update();
    say(sentence, verdict(policy, band, where, figures));
    say(moved, isMoved(policyPlace, bandPlace) ? words(`moved.${where}`) : "");
    list.update(figures);
    handle?.update(where);
    drawing?.update(figures);
    slices.update(figures);
    against.update(figures);
    examples.update(figures);
    tabs.update();
    sayOrder();
    clearTimeout(speaking);
    speaking = setTimeout(() => say(spoken, sentence.textContent), 700);
  }

  // Few thresholds change the order of the bands: what is said of it is built anew only where it differs.
  function sayOrder() {
    const said = bandOrder(policyPlace);
    if (said.join() === ordered) return;
    ordered = said.join();
    order.replaceChildren(...said.map(caution));
  }
}

function masthead(policy, policyPlace) {
  const rules = (list) => list.map((rule) => element("li", {}, foreign(rule.code, { class: "code" }), " ", foreign(rule.text)));
  return element(
    "header", { class: "masthead" },
    element("h1", {}, foreign(policy.name)),
    element("p", { class: "identity" }, element("code", {}, policy.policy_id), " ", words("policy.identity", { version: policy.version, owner: isolated(policy.owner) })),
    element(
      "details", { class: "definition" },
      element("summary", {}, words("policy.definition")),
      element("p", {}, foreign(policy.definition)),
      element("h2", {}, words("policy.violates")), element("ul", {}, rules(policy.violates)),
      policy.allows.length ? [element("h2", {}, words("policy.allows")), element("ul", {}, rules(policy.allows))] : null,
    ),
    policy.no_evidence === null ? null : caution(policy.no_evidence),
  );
}

// One tab a band, with where it stands; arrow keys move between them.
function bandTabs(policyPlace, bandPlace) {
  const policy = PAGE.policies[policyPlace];
  const tabs = policy.bands.map((band, place) => {
    const value = element("span", { class: "at" });
    const node = element("a", { role: "tab", id: `tab-${place}`, href: `#/${policy.policy_id}/${place + 1}`, "aria-selected": String(place === bandPlace), "aria-controls": "panel", tabindex: place === bandPlace ? 0 : -1, onkeydown: (event) => along(event, place) }, foreign(band.title, { class: "title" }), value);
    return { node, value, band };
  });
  return { node: element("div", { role: "tablist", class: "tabs", "aria-label": words("policy.bands") }, tabs.map((tab) => tab.node)), update };

  function along(event, place) {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    event.preventDefault();
    const next = tabs[(place + move + tabs.length) % tabs.length].node;
    next.focus();
    next.click();
  }

  function update() {
    tabs.forEach((tab, place) => {
      const threshold = CHOSEN[policyPlace][place];
      say(tab.value, threshold === null ? words("standing.off") : shownThreshold(threshold));
      tab.node.classList.toggle("is-off", threshold === null);
      tab.node.classList.toggle("is-moved", isMoved(policyPlace, place));
    });
  }
}

function legend(policy, band, bandPlace) {
  const target = band.record.tested_target ?? band.record.target;
  const keys = [
    ["line", words("legend.line")],
    band.has_ribbon ? ["soft", words("legend.ribbon", { confidence: percent(band.record.confidence ?? 0.95) })] : null,
    band.record.kind === "capacity" ? null : ["dashes", words("legend.target", { target: percent(target) })],
    band.record.certified_range && band.record.kind !== "capacity" ? ["area", words("legend.certified")] : null,
    policy.bands.length > 1 ? ["ring", words("legend.bands")] : null,
    productionPoint(policy, bandPlace) ? ["diamond", words("legend.production")] : null,
  ].filter(Boolean);
  return element("ul", { class: "legend" }, keys.map(([kind, text]) => element("li", {}, element("i", { class: `swatch ${kind}`, "aria-hidden": "true" }), text)));
}

function scoreLegend(policy) {
  const keys = [["up", words("legend.violating")], ["down", words("legend.other")], policy.traffic ? ["traffic", words("legend.traffic")] : null].filter(Boolean);
  return element("ul", { class: "legend" }, keys.map(([kind, text]) => element("li", {}, element("i", { class: `swatch ${kind}`, "aria-hidden": "true" }), text)));
}

function reviewPace(update) {
  const input = element("input", {
    type: "number", id: "review-seconds", min: 1, max: 3600, value: SETTINGS.reviewSeconds,
    oninput: () => {
      const seconds = Number(input.value);
      if (seconds > 0 && seconds <= 3600) SETTINGS.reviewSeconds = seconds;
      update();
    },
  });
  return element("p", { class: "pace" }, element("label", { for: "review-seconds" }, words("policy.pace")), input);
}

// What all bands do, for the printed page, which has no tabs.
function bandsInPrint(policyPlace, numbers) {
  const policy = PAGE.policies[policyPlace];
  const heads = ["band", "verdict", "threshold", "promise", "precision", "recall", "volume"];
  const rows = policy.bands.map((band, place) => {
    const figures = figuresAt(policyPlace, place, numbers);
    const where = standing(band, CHOSEN[policyPlace][place], policy.traffic ? (figures?.volume ?? null) : undefined);
    const cells = [standingBadge(where), figures ? shownThreshold(figures.threshold) : "–", claim(band.record), shown(figures?.precision, percent), shown(figures?.recall, percent), figures?.volume ? shownVolume(figures.volume) : "–"];
    return element("tr", {}, element("th", {}, foreign(band.title)), cells.map((cell, i) => element("td", { class: [1, 3, 4, 5].includes(i) ? "number" : "" }, cell)));
  });
  return [element("thead", {}, element("tr", {}, heads.map((name, i) => element("th", { class: [2, 4, 5, 6].includes(i) ? "number" : "" }, overviewHead(name))))), element("tbody", {}, rows)];
}

// Sentences: a band that starts where those before it have taken every post never sees one of its own.
function bandOrder(policyPlace, thresholds = CHOSEN[policyPlace]) {
  const policy = PAGE.policies[policyPlace];
  const said = [];
  let below = null;
  policy.bands.forEach((band, place) => {
    const threshold = thresholds[place];
    if (threshold === null) return;
    if (below !== null && threshold >= below.threshold) {
      said.push(words("caution.order", { band: isolated(band.title), before: isolated(below.title), threshold: shownThreshold(threshold) }));
    }
    if (below === null || threshold < below.threshold) below = { threshold, title: band.title };
  });
  return said;
}
