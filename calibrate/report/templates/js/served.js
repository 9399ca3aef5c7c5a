// A page that `setpoint review` serves saves choices there instead of downloading them, and signs them.
if (document.documentElement.dataset.served !== undefined) {
  DELIVERY.about = "served.about";
  DELIVERY.words = "served.save";
  DELIVERY.deliver = async (text) => {
    await asked("/choice", "text/yaml", text, "served.unsaved");
    return words("served.saved");
  };
  DELIVERY.serve = signing;
}

// What signing adds to the dialog: a reason for each threshold without a promise, a button, and what came of it.
function signing(boxes, text, { name, rationale, problem, finish }) {
  const outcome = element("div", { class: "outcome", role: "status" });
  const button = element("button", { type: "button", class: "strong sign", disabled: !boxes.length, onclick: sign }, words("served.sign"));
  boxes.filter((box) => !SAFE.has(box.entry.where)).forEach(addWaiver);
  const others = [displaced(), alsoSigned(boxes)].filter(Boolean);
  return { others: others.length ? element("div", {}, others) : null, outcome, button, say: tell };

  function tell(...lines) {
    say(problem, "");
    outcome.replaceChildren(...lines.filter(Boolean).map((line) => element("p", {}, line)));
    if (lines.length) outcome.scrollIntoView({ block: "nearest" });
  }

  async function sign() {
    tell();
    const lacking = notYet();
    if (lacking) {
      say(problem, lacking.why);
      return lacking.field?.focus();
    }
    button.disabled = true;
    tell(words("served.working"));
    try {
      const waived = boxes.filter((box) => box.waiver && box.input.checked);
      const waivers = Object.fromEntries(waived.map(({ entry, waiver }) => [`${entry.policy.policy_id}.${entry.bandPlace}`, waiver.value]));
      const said = await asked("/sign", "application/json", JSON.stringify({ choice: text(), waivers }), "served.refused");
      signedNow(said.signed);
      finish(words("served.title"), cameOf(said), showSigned);
    } catch (error) {
      tell();
      tellProblem(problem, error);
    } finally {
      button.disabled = false;
    }
    return undefined;
  }

  // The first thing that has to be filled in before anybody is asked.
  function notYet() {
    if (!boxes.some((box) => box.input.checked)) return { why: words("choice.none_kept") };
    if (!name.value.trim()) return { why: words("served.no_name"), field: name };
    if (!rationale.value.trim()) return { why: words("served.no_reason"), field: rationale };
    const open = boxes.find((box) => box.waiver && box.input.checked && !box.waiver.value.trim());
    if (!open) return null;
    const { policy, bandPlace, threshold } = open.entry;
    return { why: words("served.no_waiver", { band: isolated(policy.bands[bandPlace].title), threshold: shownThreshold(threshold) }), field: open.waiver };
  }
}

// Signatures of other thresholds, which these would take the place of.
function displaced() {
  const isOther = PAGE.policies.some((policy, place) => policy.bands.some((_, bandPlace) => signedOf(place, bandPlace) && !isSignedHere(place, bandPlace)));
  return isOther ? element("p", { class: "caution displaces" }, words("served.displaces", { by: BEFORE.signed.by.map(isolated).join(words("examples.and")) })) : null;
}

// Thresholds that the dialog does not offer, as they were calibrated: who signs vouches for these, too.
function alsoSigned(boxes) {
  const offered = new Set(boxes.map(({ entry }) => `${entry.policyPlace}.${entry.bandPlace}`));
  const others = PAGE.policies.flatMap((policy, place) => policy.bands.flatMap((band, bandPlace) => {
    if (band.record.threshold === null || offered.has(`${place}.${bandPlace}`)) return [];
    return [element("li", {}, foreign(policy.name), " ", foreign(band.title), ": ", shownThreshold(band.record.threshold))];
  }));
  if (!others.length) return null;
  return element("details", { class: "others" }, element("summary", {}, words("served.others", { n: others.length })), element("ul", {}, others));
}

function addWaiver(box, i) {
  box.waiver = element("textarea", { id: `waiver-${i}`, rows: 2, maxlength: 4000 });
  box.node.append(element("div", { class: "waiver" }, element("label", { for: box.waiver.id }, words("served.waiver")), box.waiver));
}

// Sends something to where the page came from; what it answers, or an error that says why not.
async function asked(path, type, body, refusal) {
  let answer;
  try {
    answer = await fetch(path, { method: "POST", headers: { "Content-Type": type }, body, credentials: "same-origin" });
  } catch {
    throw new Error(words("served.unreachable"));
  }
  const isJson = answer.headers.get("content-type")?.startsWith("application/json");
  const said = isJson ? await answer.json() : { refused: [await answer.text()] };
  if (said.refused) throw refusalOf(words(refusal), said);
  return said;
}

// What a person at the page can mend is told in plain words; all else is for whoever runs the page, as it stands.
function refusalOf(opening, { refused, told }) {
  const error = new Error(`${opening} ${told ?? words("served.technical")}`);
  if (told === undefined) error.technical = refused.join("\n");
  return error;
}
