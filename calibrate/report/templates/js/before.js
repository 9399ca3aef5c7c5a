// What others saved and signed before, on a page that is served: above every view, with a way to go on from there.
const BEFORE = JSON.parse(document.getElementById("before")?.textContent ?? "null");

function showBefore() {
  if (!BEFORE) return;
  const { saved, signed } = BEFORE;
  const names = signed ? { by: signed.by.map(isolated).join(words("examples.and")) } : null;
  const notices = [
    signed ? notice([words("before.signed", names), ...signed.missing.map(sentence)], signed.choices) : null,
    saved ? notice([words("before.saved", { by: saved.by ? isolated(saved.by) : words("before.nobody"), path: isolated(saved.path) }), saved.rationale ? isolated(saved.rationale) : ""], saved.choices) : null,
  ].filter(Boolean);
  if (notices.length) APP.before(element("aside", { class: "before", "aria-label": words("before.title") }, notices));
}

function notice(lines, choices) {
  const shown = element("span", { class: "soft", role: "status" });
  const button = element("button", { type: "button", onclick: () => goOn(choices, shown) }, words("before.show"));
  return element("div", {}, lines.filter(Boolean).map((line) => element("p", {}, line)), element("p", {}, button, " ", shown));
}

// Bands that a choice leaves out stand where they were calibrated: that is what was chosen.
async function goOn(choices, shown) {
  PAGE.policies.forEach((policy, place) => {
    CHOSEN[place] = policy.bands.map((band, bandPlace) => {
      const chosen = choices.find((each) => each.policy_id === policy.policy_id && each.band === bandPlace);
      return chosen ? chosen.threshold : band.record.threshold;
    });
  });
  APP.dataset.view = "";
  await render();
  say(shown, words("before.shown"));
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
}
