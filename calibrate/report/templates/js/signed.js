// Who vouches for which thresholds. On a signed page its bands say so; on a served one the server does.
const SIGNED = new Map();
keepSigned(PAGE.policies.flatMap(({ policy_id, bands }) => bands.map(({ record, daily_volume, signatures_missing: missing }, band) => ({ ...record, policy_id, band, daily_volume, missing }))));

function keepSigned(bands) {
  SIGNED.clear();
  for (const band of bands) SIGNED.set(`${band.policy_id}.${band.band}`, band);
}

// A band as it was signed; null where nobody vouches for it.
function signedOf(policyPlace, bandPlace) {
  const kept = SIGNED.get(`${PAGE.policies[policyPlace].policy_id}.${bandPlace}`);
  return kept?.signatures.length ? kept : null;
}

function isSignedHere(policyPlace, bandPlace) {
  return signedOf(policyPlace, bandPlace)?.threshold === CHOSEN[policyPlace][bandPlace];
}

function shownOrOff(threshold) {
  return threshold === null ? words("standing.off") : shownThreshold(threshold);
}

// In a word, whether people vouch for what is shown.
function signedBadge(policyPlace, bandPlace) {
  const kept = signedOf(policyPlace, bandPlace);
  if (!kept) return null;
  if (!isSignedHere(policyPlace, bandPlace)) return badge("warn", words("signed.not_this"));
  return kept.missing ? badge("warn", words("signed.missing", { n: kept.missing })) : badge("good", words("signed.all"));
}

function signersOf({ signatures }) {
  const values = { by: signatures.map(({ by }) => isolated(by)).join(words("examples.and")), date: signatures.at(-1).at.slice(0, 10) };
  return words("signed.names", values);
}

// On the page of a policy: who signed, why, and at which threshold where another one is shown.
function signedNote(policyPlace, bandPlace) {
  const kept = signedOf(policyPlace, bandPlace);
  if (!kept) return { node: null, update() {} };
  const lines = kept.signatures.map(({ by, at, rationale, waiver }) => {
    const values = { by: isolated(by), date: at.slice(0, 10), rationale: isolated(rationale), waiver: isolated(waiver ?? "") };
    return element("li", {}, words(waiver === null ? "signed.by" : "signed.waived", values));
  });
  const text = element("span");
  const differs = element("li", { class: "differs" }, text, " ", element("button", { type: "button", onclick: showSigned }, words("signed.show")));
  return { node: element("ul", { class: "signed" }, lines, differs), update };

  function update() {
    differs.hidden = isSignedHere(policyPlace, bandPlace);
    say(text, words("signed.differs", { signed: shownOrOff(kept.threshold), shown: shownOrOff(CHOSEN[policyPlace][bandPlace]) }));
  }
}

function showSigned() {
  return showChoices([...SIGNED.values()]);
}

// Bands that a choice leaves out stand where they were calibrated: that is what was chosen.
function thresholdsIn(choices) {
  return PAGE.policies.map((policy) => policy.bands.map((band, bandPlace) => {
    const chosen = choices.find((each) => each.policy_id === policy.policy_id && each.band === bandPlace);
    return chosen ? chosen.threshold : band.record.threshold;
  }));
}

async function showChoices(choices) {
  thresholdsIn(choices).forEach((thresholds, place) => (CHOSEN[place] = thresholds));
  APP.dataset.view = "";
  await render();
}
