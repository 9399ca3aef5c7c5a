// Further models beside: production, this calibration at its chosen threshold, and each candidate at its own.
const MODEL_COLUMNS = ["threshold", "volume", "precision", "recall", "gained", "lost", "luck"];

function modelTable(policy, other) {
  const rows = [
    modelRow(words("production.before"), "before"),
    modelRow(words("production.now"), "here"),
    ...other.candidates.map((candidate) => modelRow(candidateName(policy, candidate), candidate.name)),
  ];
  const head = element("tr", {}, element("th", { scope: "col" }, words("production.model")), MODEL_COLUMNS.map((name) => element("th", { scope: "col", class: "number" }, words(`candidates.${name}`))));
  const node = element("table", { class: "list models" }, element("caption", { class: "unseen" }, words("candidates.title")), element("thead", {}, head), element("tbody", {}, rows.map((row) => row.node)));
  other.candidates.forEach((candidate, i) => rows[i + 2].show(candidateTexts(candidate)));
  return { node: element("div", {}, element("h3", {}, words("candidates.title")), element("div", { class: "scroll" }, node), element("p", { class: "soft" }, words("candidates.about"))), update };

  function update(now, figures) {
    rows[0].show([other.threshold === null ? words("standing.off") : shownThreshold(other.threshold), ...sharesOf(now, "before"), "–", "–", "–"]);
    const { gained, lost } = now.counts;
    rows[1].show([figures === null ? words("standing.off") : shownThreshold(figures.threshold), ...sharesOf(now, "now"), whole(total(gained)), whole(total(lost)), shown(now.p, percent)]);
  }
}

function modelRow(title, name) {
  const cells = MODEL_COLUMNS.map((each) => element("td", { class: "number", "data-model": `${name} ${each}`, "data-label": words(`candidates.${each}`) }));
  const node = element("tr", {}, element("th", { scope: "row" }, title), cells);
  return { node, show: (texts) => cells.forEach((cell, i) => say(cell, texts[i])) };
}

// Its name, and what to know of it.
function candidateName(policy, { name, version }) {
  const { n_missing: n } = PAGE.evidence.production.candidates.find((each) => each.name === name);
  const notes = [
    version === null ? words("candidates.no_band") : null,
    version !== null && version !== policy.version ? words("production.at_version", { version }) : null,
    version !== null && n ? words("candidates.missing", { n }) : null,
  ].filter(Boolean);
  return [foreign(name), ...(notes.length ? [" ", element("span", { class: "more" }, notes.join(", "))] : [])];
}

function sharesOf(now, when) {
  return [shown(now.volume[when], (share) => estimate(SAMPLE_OF * share)), shown(now.precision[when], percent), shown(now.recall[when], percent)];
}

function candidateTexts(candidate) {
  if (candidate.version === null) return MODEL_COLUMNS.map(() => "–");
  const { threshold, gained, lost, p_value: p } = candidate;
  return [threshold === null ? words("standing.off") : shownThreshold(threshold), ...sharesOf(candidate, "now"), whole(gained), whole(lost), shown(p, percent)];
}
