// The section on examples: golden posts around the threshold, and those that the model got most wrong there.
const EXAMPLES = new Map();
const PAUSE = 120; // milliseconds without a move, before posts are shown anew

// The posts of a policy, by rising rank; null on a page without.
function examplesOf(policyPlace) {
  if (!EXAMPLES.has(policyPlace)) {
    EXAMPLES.set(policyPlace, JSON.parse(document.getElementById(`examples-${policyPlace}`)?.textContent ?? "null"));
  }
  return EXAMPLES.get(policyPlace);
}

function exampleSection(policyPlace, bandPlace) {
  const policy = PAGE.policies[policyPlace];
  const held = examplesOf(policyPlace);
  if (held === null) return { node: section("examples", words("examples.title"), element("p", { class: "soft" }, words("examples.none"))), update() {} };
  const { facts } = held;
  const kinds = ["near", "wrongful", "missed"];
  const chips = kinds.map((kind) => chip(words(`examples.${kind}`), () => choose(kind)));
  const filter = sliceFilter(facts, () => show());
  const unlabelled = labelSwitch(facts, () => show());
  const holder = element("div", { class: "groups" });
  const cards = new Map();
  let [kind, latest, waiting, shown] = ["near", null, 0, null];
  press(chips, 0);
  const node = section(
    "examples", words("examples.title"),
    element("p", { class: "soft" }, words("examples.about", { n: facts.items.length, all: whole(facts.n_golden) }), " ", words("examples.spent")),
    element("div", { class: "chips" }, element("div", { role: "group", "aria-label": words("examples.kinds") }, chips), filter.node),
    element("div", { class: "switches" }, unlabelled.node, pictureSwitches(policy, held, () => { cards.clear(); shown = null; show(); })),
    holder,
  );
  return { node, update };

  function choose(each) {
    kind = each;
    press(chips, kinds.indexOf(each));
    show();
  }

  // Follows the slider once it rests: pictures that flit by help nobody.
  function update(figures) {
    const isFirst = latest === null;
    latest = { threshold: CHOSEN[policyPlace][bandPlace] ?? Infinity, flagged: figures?.flagged ?? 0 };
    clearTimeout(waiting);
    if (isFirst) show();
    else waiting = setTimeout(show, PAUSE);
  }

  function show() {
    const groups = groupsAt(kind, facts, latest.threshold, (example) => filter.passes(example) && unlabelled.passes(example));
    const key = JSON.stringify([kind, latest.threshold === Infinity, groups.map((group) => group.items.map((each) => each.rank))]);
    for (const group of groups) for (const each of group.items) cardOf(each).place(latest.threshold === Infinity ? words("examples.rank", { rank: whole(each.rank) }) : distance(each, latest.flagged));
    if (key === shown) return;
    shown = key;
    holder.replaceChildren(...groups.map((group) => element(
      "div", { class: "group" },
      element("h3", {}, words(`examples.group.${group.name}`)),
      group.items.length ? element("ul", { class: "cards" }, group.items.map((each) => cardOf(each).node)) : element("p", { class: "soft" }, words(`examples.empty.${latest.threshold === Infinity && group.name === "above" ? "off" : group.name}`)),
    )));
  }

  function cardOf(example) {
    if (!cards.has(example.rank)) cards.set(example.rank, exampleCard(policy, held, example));
    return cards.get(example.rank);
  }
}

// Which posts are shown at a threshold, by name of the group.
function groupsAt(kind, facts, threshold, passes) {
  const items = facts.items.filter(passes);
  const flagged = items.filter((each) => each.score >= threshold);
  const others = items.filter((each) => each.score < threshold);
  const first = (list) => list.slice(0, facts.number);
  if (kind === "wrongful") return [{ name: "wrongful", items: first(flagged.filter((each) => each.label === false)) }];
  if (kind === "missed") return [{ name: "missed", items: first(others.filter((each) => each.label === true).reverse()) }];
  return [{ name: "above", items: first(flagged.reverse()) }, { name: "below", items: first(others) }];
}

// How many golden posts away from the threshold it is, counting those that are not shown.
function distance(example, flagged) {
  const away = example.rank > flagged ? example.rank - flagged : flagged - example.rank + 1;
  return words(example.rank > flagged ? "examples.posts_below" : "examples.posts_above", { n: away });
}

// A choice of one slice among those of the posts that are held.
function sliceFilter(facts, onchange) {
  const options = facts.columns.flatMap((by, at) => {
    const counts = new Map();
    for (const { slices } of facts.items) if (slices[at] !== null) counts.set(slices[at], (counts.get(slices[at]) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([value, n]) => ({ by, at, value, n }));
  });
  const select = element(
    "select", { id: "example-slice", onchange },
    element("option", { value: "" }, words("examples.everywhere")),
    options.map(({ by, value, n }, place) => element("option", { value: String(place) }, words("examples.slice", { by: isolated(by), value: isolated(value), n }))),
  );
  const node = element("p", { class: "filter" }, element("label", { for: "example-slice" }, words("examples.filter")), select);
  return { node, passes: (example) => select.value === "" || example.slices[options[select.value].at] === options[select.value].value };
}

// Posts without a known label, which nobody was asked about or annotators could not agree on, only where wanted.
function labelSwitch(facts, onchange) {
  const isAllUnknown = facts.items.every((example) => example.label === null);
  const input = element("input", { type: "checkbox", id: "switch-unlabelled", checked: isAllUnknown, onchange });
  return { node: element("label", { for: "switch-unlabelled" }, input, words("examples.unlabelled")), passes: (example) => input.checked || example.label !== null };
}

function pictureSwitches(policy, held, changed) {
  if (policy.preview === "none") return [element("p", { class: "soft" }, words("picture.never"))];
  if (!held.pictures.length) return [element("p", { class: "soft" }, words("picture.none_here"))];
  const toggle = (name, checked, set) => {
    const input = element("input", { type: "checkbox", id: `switch-${name}`, checked, onchange: () => set(input.checked) });
    return element("label", { for: `switch-${name}` }, input, words(`picture.${name}`));
  };
  return [
    toggle("pictures", SETTINGS.pictures, (is) => { SETTINGS.pictures = is; changed(); }),
    toggle("less_motion", document.documentElement.dataset.motion === "less", (is) => { SETTINGS.lessMotion = is; showMotion(); }),
    policy.preview === "blur" ? element("span", { class: "soft" }, words("picture.blurred")) : null,
  ];
}
