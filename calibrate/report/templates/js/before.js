// What others saved and signed before, on a page that is served: above every view, with a way to go on from there.
const BEFORE = JSON.parse(document.getElementById("before")?.textContent ?? "null");
const MOST_NAMED = 3;
let banner = null;
if (BEFORE?.signed) keepSigned(BEFORE.signed.bands);

function showBefore() {
  banner?.remove();
  const notices = BEFORE ? [signedNotice(BEFORE), savedNotice(BEFORE)].filter(Boolean) : [];
  banner = notices.length ? element("aside", { class: "before", "aria-label": words("before.title") }, notices) : null;
  if (banner) APP.before(banner);
}

// Somebody signed just now: what the page knows of signatures is what the server says.
function signedNow(signed) {
  BEFORE.signed = signed;
  keepSigned(signed.bands);
  showBefore();
}

function signedNotice({ signed }) {
  if (!signed) return null;
  const by = signed.by.map(isolated).join(words("examples.and"));
  const lacking = signed.bands.filter(({ missing }) => missing > 0).length;
  const lines = [words("before.signed", { by }), whatMoved(signed.bands), lacking ? words("before.lacking", { n: lacking, choose: words("choice.open") }) : words("served.complete")];
  return notice(lines, words("before.show_signed", { by }), signed.bands);
}

function savedNotice({ saved, signed }) {
  if (!saved) return null;
  const by = saved.by ? isolated(saved.by) : words("before.nobody");
  const opening = saved.on ? words("before.saved_on", { by, date: saved.on }) : words("before.saved", { by });
  const why = saved.rationale ? isolated(saved.rationale) : "";
  const isSame = signed && thresholdsIn(saved.choices).join() === thresholdsIn(signed.bands).join();
  if (isSame) return notice([opening, why, words("before.same")], null, []);
  return notice([opening, why, whatMoved(saved.choices)], words("before.show_saved", { by }), saved.choices);
}

// What a choice changes of the thresholds as they were calibrated.
function whatMoved(choices) {
  const wanted = thresholdsIn(choices);
  const moved = PAGE.policies.flatMap((policy, place) => policy.bands.flatMap((band, bandPlace) => {
    const threshold = wanted[place][bandPlace];
    if (threshold === band.record.threshold) return [];
    return [words("before.item", { policy: isolated(policy.name), band: isolated(band.title), threshold: shownOrOff(threshold) })];
  }));
  if (!moved.length) return words("before.as_calibrated");
  const named = [...moved.slice(0, MOST_NAMED), ...(moved.length > MOST_NAMED ? [words("before.more", { n: moved.length - MOST_NAMED })] : [])];
  return words("before.moved", { n: moved.length, list: named.join(words("before.and")) });
}

function notice(lines, label, choices) {
  const shown = element("span", { class: "soft", role: "status" });
  const show = () => showChoices(choices).then(() => say(shown, words("before.shown")));
  const button = label && element("p", {}, element("button", { type: "button", onclick: show }, label), " ", shown);
  return element("div", {}, lines.filter(Boolean).map((line) => element("p", {}, line)), button);
}
