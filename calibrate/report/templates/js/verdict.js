// Where a threshold stands, and the verdict in a sentence.

// certified: the promise holds. fits, over: of bands by capacity. looser, stricter: outside what was certified.
// unproven: switched on although nothing was certified. off, waits, unattained: the band takes no posts.
function standing(band, threshold, dailyVolume) {
  const record = band.record;
  if (record.kind === "capacity") {
    if (threshold === null) return record.certified_range !== null ? "off" : dailyVolume === undefined ? "waits" : "unattained";
    if (!dailyVolume) return "unproven";
    return dailyVolume.high <= record.target ? "fits" : "over";
  }
  // A band that was signed may be waived or switched off; what was certified is its range.
  if (threshold === null) return record.certified_range !== null ? "off" : "unattained";
  if (record.certified_range === null) return "unproven";
  const [strictest, loosest] = record.certified_range;
  if (threshold < loosest) return "looser";
  return threshold > strictest ? "stricter" : "certified";
}

const KINDS = { certified: "good", fits: "good", looser: "bad", over: "bad", unproven: "bad", stricter: "warn" };

function standingBadge(where) {
  return badge(KINDS[where] ?? "rest", words(`standing.${where}`));
}

// What the band asks for.
function claim(record) {
  if (record.kind === "capacity") return words("claim.capacity", { target: whole(record.target) });
  const values = { target: percent(record.target), confidence: percent(record.confidence) };
  return words(`claim.${record.kind}`, values);
}

// The answer in one to three sentences. `figures` are those of the threshold; see figures.js.
function verdict(policy, band, where, figures) {
  const record = band.record;
  const names = { action: isolated(band.title), claim: claim(record) };
  if (where === "off") return words("verdict.off", names);
  if (where === "waits") return words("verdict.waits", names);
  if (where === "unattained") return `${words("verdict.unattained", names)} ${missing(record)}`;
  const threshold = shownThreshold(figures.threshold);
  const opening = words(`verdict.${where}`, { ...names, threshold });
  return [opening, wouldDo(policy, figures)].filter(Boolean).join(" ");
}

// What it would do, as far as anything is known: what it catches, and how much it acts on.
function wouldDo(policy, figures) {
  const { recall, volume: posts } = figures;
  const whose = words(policy.floor === null ? "verdict.violations" : "verdict.violations_above", {
    floor: policy.floor === null ? "" : shownThreshold(policy.floor),
  });
  if (posts?.high === 0 && figures.taken !== null) return words("verdict.none_left");
  // What the bands before it take is caught as well, and not acted on by this one.
  const isAlone = figures.taken === null;
  if (recall !== null && posts) {
    return words(isAlone ? "verdict.catches_and_acts" : "verdict.catches_and_acts_too", { recall: percent(recall), whose, volume: shownVolume(posts) });
  }
  if (posts) return words("verdict.acts", { volume: shownVolume(posts) });
  if (recall !== null) return words(isAlone ? "verdict.catches" : "verdict.catches_too", { recall: percent(recall), whose });
  return "";
}

// What is missing for a promise.
function missing(record) {
  if (record.kind === "capacity" || record.method === "none") return record.reason;
  if (record.labels_needed === null) return record.kind === "precision" ? words("missing.hopeless") : record.reason;
  const more = record.labels_needed - record.n_labelled;
  return more > 0 ? words("missing.labels", { n: more, about: about(more) }) : words("missing.close");
}
