// The choice: which thresholds somebody wants, and why, in a file that calibrate/choice.py reads and checks.

// Text that YAML reads as the same text: JSON, with the few signs escaped that YAML takes for line breaks.
function quoted(text) {
  return JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff\ud800-\udfff]/g, (sign) => {
    const code = sign.charCodeAt(0);
    return code >= 0xd800 && code <= 0xdfff ? sign : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

function choiceText(entries, by, rationale) {
  const lines = [
    "schema: setpoint/choice/v1",
    `calibration: ${quoted(PAGE.calibration)}`,
    `by: ${by ? quoted(by) : "null"}`,
    `rationale: ${rationale ? quoted(rationale) : "null"}`,
    "choices:",
  ];
  for (const { policy, bandPlace, threshold } of entries) {
    lines.push(
      `  - policy_id: ${quoted(policy.policy_id)}`,
      `    policy_version: ${quoted(policy.version)}`,
      `    band: ${bandPlace}`,
      `    action: ${policy.bands[bandPlace].record.action}`,
      `    threshold: ${threshold === null ? "null" : String(threshold)}`,
    );
  }
  return `${lines.join("\n")}\n`;
}

// Where a choice goes: to this machine's disk. A page that is served puts its own way here.
const DELIVERY = {
  about: "choice.about",
  words: "choice.download",
  deliver(text) {
    const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "application/yaml" })), download: "choice.yaml" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  },
};

// Bands of a policy, and of every other in which one was moved: they share their posts.
function choosable(policyPlace) {
  return PAGE.policies.flatMap((policy, place) =>
    policy.bands.flatMap((band, bandPlace) => {
      const isHere = place === policyPlace || policy.bands.some((_, each) => isMoved(place, each));
      if (!isHere) return [];
      const threshold = CHOSEN[place][bandPlace];
      if (threshold === null && !isMoved(place, bandPlace)) return [];
      return [{ policy, policyPlace: place, bandPlace, threshold }];
    }),
  );
}

async function openChoice(policyPlace) {
  const entries = await Promise.all(choosable(policyPlace).map(withStanding));
  const boxes = entries.map((entry, i) => choiceRow(entry, i));
  const name = element("input", { id: "choice-by", type: "text", maxlength: 120, autocomplete: "name" });
  const rationale = element("textarea", { id: "choice-rationale", rows: 3, maxlength: 4000 });
  const problem = element("p", { class: "problem", role: "alert" });
  const order = element("div", { class: "order", role: "status" });
  const served = DELIVERY.serve?.(boxes, () => choiceText(kept(), name.value.trim(), rationale.value.trim()), { name, rationale, problem, finish });
  let isFinished = false;
  const form = element(
    "form", { method: "dialog", onsubmit: submit },
    element("h2", { id: "choice-title" }, words("choice.title")),
    element("p", { class: "soft" }, words(DELIVERY.about)),
    entries.length ? element("ul", { class: "entries" }, boxes.map((box) => box.node)) : element("p", {}, words("choice.nothing")),
    order,
    served?.others,
    element("label", { for: "choice-by" }, words("choice.by")), name,
    element("label", { for: "choice-rationale" }, words("choice.rationale")), rationale,
    problem,
    served?.outcome,
    element("div", { class: "buttons" }, element("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, words("choice.cancel")), element("button", { type: "submit", class: served ? "quiet save" : "strong", disabled: !entries.length }, words(DELIVERY.words)), served?.button),
  );
  const dialog = element("dialog", { class: "choice", "aria-labelledby": "choice-title" }, form);
  dialog.addEventListener("close", () => dialog.remove());
  boxes.forEach(({ input }) => input.addEventListener("change", sayOrder));
  sayOrder();
  document.body.append(dialog);
  dialog.showModal();

  function kept() {
    return boxes.filter((box) => box.input.checked).map((box) => box.entry);
  }

  // Where the bands of a policy would stand, with what is ticked: those that are not stay as calibrated.
  function sayOrder() {
    const said = PAGE.policies.flatMap((policy, place) => {
      const wanted = policy.bands.map((band, bandPlace) => {
        const entry = kept().find((each) => each.policyPlace === place && each.bandPlace === bandPlace);
        return entry ? entry.threshold : band.record.threshold;
      });
      return bandOrder(place, wanted).map((sentence) => words("choice.order", { policy: isolated(policy.name), sentence }));
    });
    order.replaceChildren(...said.map(caution));
  }

  // Nothing is left to do but to read what came of it; `after` runs when that is closed.
  function finish(title, content, after) {
    if (!dialog.open) return after();
    isFinished = true;
    const done = element("button", { type: "submit", class: "strong done", "aria-describedby": "choice-outcome" }, words("choice.done"));
    form.replaceChildren(element("h2", { id: "choice-title" }, title), element("div", { class: "came", id: "choice-outcome" }, content), element("div", { class: "buttons" }, done));
    dialog.addEventListener("close", after);
    dialog.scrollTop = 0;
    return done.focus({ preventScroll: true });
  }

  async function submit(event) {
    if (isFinished) return undefined;
    event.preventDefault();
    if (!kept().length) return say(problem, words("choice.none_kept"));
    try {
      const said = await DELIVERY.deliver(choiceText(kept(), name.value.trim(), rationale.value.trim()));
      if (!served) return dialog.close();
      served.say(said);
    } catch (error) {
      tellProblem(problem, error);
    }
    return undefined;
  }
}

function tellProblem(problem, { message, technical }) {
  problem.replaceChildren(message, ...(technical ? [" ", element("code", {}, technical)] : []));
}

async function withStanding(entry) {
  const numbers = await numbersOf(entry.policyPlace);
  const figures = figuresAt(entry.policyPlace, entry.bandPlace, numbers);
  return { ...entry, where: standing(entry.policy.bands[entry.bandPlace], entry.threshold, figures?.volume) };
}

// Where nothing has to be waived.
const SAFE = new Set(["certified", "fits", "off"]);

function choiceRow(entry, i) {
  const input = element("input", { type: "checkbox", id: `choice-${i}`, checked: true });
  const band = entry.policy.bands[entry.bandPlace];
  const text = entry.threshold === null ? words("standing.off") : shownThreshold(entry.threshold);
  const node = element(
    "li", {},
    input,
    element("label", { for: input.id }, element("strong", {}, foreign(entry.policy.name)), " ", foreign(band.title), ": ", text, " ", standingBadge(entry.where), SAFE.has(entry.where) ? null : element("span", { class: "warning" }, words("choice.uncovered"))),
  );
  return { entry, input, node };
}
