// The section "Against production": what a threshold changes, in a sentence, in figures, and post by post.
const KIND_NAMES = ["violating", "other", "unknown"];

function productionSection(policy, bandPlace, numbers) {
  if (PAGE.evidence.production === null) return { node: null, update() {} };
  const against = policy.production;
  const other = against?.bands[bandPlace] ?? null;
  const title = words("production.title");
  if (other === null || !numbers.n) {
    const lack = words(against === null ? "production.no_policy" : "production.no_band", { action: isolated(policy.bands[bandPlace].title) });
    return { node: section("production", title, element("p", { class: "soft" }, lack), productionNotes(policy, null)), update() {} };
  }
  const sentence = element("p", { class: "change" });
  const who = element("p", { class: "who" });
  const shares = shareTable(policy, other);
  const labels = labelTable();
  const flips = flipList(other);
  const models = other.candidates.length ? modelTable(policy, other) : null;
  const node = section("production", title, sentence, who, element("div", { class: "sides" }, shares.node, labels.node), models?.node, flips.node, productionNotes(policy, other));
  return { node, update };

  function update(figures) {
    const cut = figures === null ? null : figures.cut;
    const now = changesAt(policy, numbers, bandPlace, cut);
    const { gained, lost, both } = now.counts;
    const values = { gained: whole(total(gained)), lost: whole(total(lost)), both: whole(total(both)), n: total(now.counts.all), threshold: figures === null ? "" : shownThreshold(figures.threshold), before: other.threshold === null ? "" : shownThreshold(other.threshold) };
    say(sentence, [words(figures === null ? "production.changes_off" : "production.changes", values), words(other.threshold === null ? "production.serves_off" : "production.serves", values)].join(" "));
    say(who, whoIsRight(policy, now));
    shares.update(now, figures);
    labels.update(now.counts);
    models?.update(now, figures);
    flips.update(figures === null ? null : figures.threshold);
  }
}

function whoIsRight(policy, now) {
  const n = now.better + now.worse;
  if (policy.no_evidence !== null) return "";
  if (n === 0) return words("production.alike");
  const opening = words("production.right", { n, better: whole(now.better), worse: whole(now.worse) });
  if (now.p === null) return `${opening} ${words(policy.is_weighted ? "production.untested" : "production.untested_below")}`;
  return `${opening} ${words(now.p < 0.05 ? "production.beyond_luck" : "production.luck", { p: percent(now.p) })}`;
}

// Shares before and now, and their difference with its interval.
function shareTable(policy, other) {
  const names = ["volume", "precision", "recall", ...(policy.traffic && other.daily_volume ? ["day"] : [])];
  const columns = ["before", "now", "change", "ends"];
  const rows = names.map((name) => {
    const cells = columns.map((each) => element("td", { class: "number", "data-change": `${name}-${each}`, "data-label": words(`production.${each}`) }));
    return { name, cells, node: element("tr", {}, element("th", { scope: "row" }, words(shareName(policy, name))), cells) };
  });
  const head = element("tr", {}, element("th", { scope: "col" }, words("production.measure")), columns.map((each) => element("th", { scope: "col", class: "number" }, words(`production.${each}`))));
  const node = element("table", { class: "list shares" }, element("caption", { class: "unseen" }, words("production.shares_caption")), element("thead", {}, head), element("tbody", {}, rows.map((row) => row.node)));
  return { node: element("div", { class: "scroll" }, node), update };

  function update(now, figures) {
    for (const { name, cells } of rows) {
      const texts = name === "day" ? dayTexts(figures) : shiftTexts(name, now[name]);
      cells.forEach((cell, i) => say(cell, texts[i]));
    }
  }

  function dayTexts(figures) {
    const { daily_volume: before } = other;
    const volume = figures === null ? { expected: 0, low: 0, high: 0 } : figures.volume;
    return [shownVolume(before), shownVolume(volume), signedText(fixed(Math.abs(volume.expected - before.expected), 0), volume.expected - before.expected), "–"];
  }
}

function shareName(policy, name) {
  if (policy.floor === null || name === "day" || name === "precision") return `production.${name}`;
  return `production.${name}_above`;
}

function shiftTexts(name, shift) {
  const isVolume = name === "volume";
  const [single, signed] = isVolume ? [(share) => estimate(SAMPLE_OF * share), signedPosts] : [percent, points];
  const isKnown = shift.before !== null && shift.now !== null;
  const change = isKnown ? signed(shift.now - shift.before) : "–";
  const ends = isKnown && shift.ends !== null ? words("production.interval", { low: signed(shift.ends[0]), high: signed(shift.ends[1]) }) : "–";
  const unit = isVolume || !isKnown ? change : words("production.points", { points: change });
  return [shown(shift.before, single), shown(shift.now, single), unit, ends];
}

// Golden posts by what their label says: flagged by both, gained, lost.
function labelTable() {
  const columns = ["both", "gained", "lost"];
  const rows = KIND_NAMES.map((kind) => {
    const cells = columns.map((each) => element("td", { class: "number", "data-change": `${each}-${kind}`, "data-label": words(`production.${each}`) }));
    return { cells, node: element("tr", {}, element("th", { scope: "row" }, words(`production.${kind}`)), cells) };
  });
  const head = element("tr", {}, element("th", { scope: "col" }, words("production.posts")), columns.map((each) => element("th", { scope: "col", class: "number" }, words(`production.${each}`))));
  const node = element("table", { class: "list labels" }, element("caption", { class: "unseen" }, words("production.labels_caption")), element("thead", {}, head), element("tbody", {}, rows.map((row) => row.node)));
  return { node: element("div", { class: "scroll" }, node), update };

  function update(counts) {
    rows.forEach(({ cells }, kind) => columns.forEach((each, i) => say(cells[i], whole(counts[each][kind]))));
  }
}

// Posts that change sides at the threshold, the clearest of each kind; a row is built once and hidden where it stays.
function flipList(other) {
  const rows = other.flips.map((flip) => {
    const cell = (name, content, kind = "") => element("td", { class: kind, "data-label": words(`production.${name}`) }, content);
    const node = element(
      "tr", { hidden: true },
      element("th", { scope: "row" }, element("code", {}, foreign(flip.item_id)), flip.caption ? foreign(flip.caption, { class: "caption" }) : null),
      cell("flip", badge(isRight(flip) === null ? "rest" : isRight(flip) ? "good" : "bad", words(flip.is_gained ? "production.gained" : "production.lost"))),
      cell("label", words(`production.${flip.label}`)),
      cell("score_before", shownThreshold(flip.before), "number"),
      cell("score_now", shownThreshold(flip.now), "number"),
    );
    return { flip, node };
  });
  const heads = [["post", ""], ["flip", ""], ["label", ""], ["score_before", "number"], ["score_now", "number"]];
  const table = element("table", { class: "list flips" }, element("caption", { class: "unseen" }, words("production.flips")), element("thead", {}, element("tr", {}, heads.map(([name, kind]) => element("th", { scope: "col", class: kind }, words(`production.${name}`))))), element("tbody", {}, rows.map((row) => row.node)));
  const none = element("p", { class: "soft" }, words("production.no_flips"));
  return { node: element("details", {}, element("summary", {}, words("production.flips")), none, element("div", { class: "scroll" }, table)), update };

  function update(threshold) {
    let some = false;
    for (const { flip, node } of rows) {
      const isFlagged = threshold !== null && flip.now >= threshold;
      node.hidden = isFlagged !== flip.is_gained;
      some = some || !node.hidden;
    }
    none.hidden = some;
    table.hidden = !some;
  }
}

// Whether this model is right about a post that flips; null where nobody knows.
function isRight(flip) {
  return flip.label === "unknown" ? null : flip.is_gained === (flip.label === "violating");
}

// What to know before the figures are believed.
function productionNotes(policy, other) {
  const { n_missing: n, first_missing: first, golden_set: golden } = PAGE.evidence.production;
  const against = policy.production;
  const hasOther = against !== null && against.others.length > 0;
  const notes = [
    n ? words("production.missing", { n, first: isolated(first) }) : null,
    against !== null && against.version !== policy.version ? words("production.version", { before: against.version, now: policy.version }) : null,
    hasOther ? words("production.others", { titles: against.others.map(isolated).join(", ") }) : null,
    other === null ? null : words("production.same_kind", { title: isolated(other.title), golden: isolated(golden) }),
    other !== null && policy.floor !== null ? words("production.floor") : null,
    other !== null && policy.is_weighted ? words("production.weighted") : null,
    other === null ? null : words("production.methods"),
    words("production.no_certificate"),
  ];
  return element("ul", { class: "notes" }, notes.filter(Boolean).map((note) => element("li", {}, note)));
}

// For the overview: what changes at the calibrated threshold.
function productionCell(policy, bandPlace) {
  const other = policy.production?.bands[bandPlace] ?? null;
  return other === null ? "–" : words("production.cell", { gained: whole(other.gained), lost: whole(other.lost) });
}

// Where production stands on the axes of the curve, by the posts that both models scored; null where nowhere.
function productionPoint(policy, bandPlace) {
  const other = policy.production?.bands[bandPlace] ?? null;
  if (other === null || policy.no_evidence !== null) return null;
  const before = other.before_weights ?? other.before;
  const all = policy.production.all_weights ?? policy.production.all;
  const [precision, recall] = [ratio(before[0], known(before)), ratio(before[0], all[0])];
  return precision === null || recall === null ? null : { precision, recall };
}
