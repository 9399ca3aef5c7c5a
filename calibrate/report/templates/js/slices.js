// Slices at the chosen threshold: a table that can be sorted, and never leaves out a thin slice.
const STATUSES = ["certified", "below", "insufficient", "untested"];
const STATUS_KINDS = { certified: "good", below: "bad", insufficient: "warn", untested: "rest" };

// What is known of slice `row` at the figures' cut; `figures` null where the band is off.
function sliceAt(policy, numbers, bandPlace, row, figures) {
  if (figures === null) return null;
  const at = row * numbers.n + figures.cut;
  const labelled = numbers.slice_labelled[at];
  const known = (numbers.slice_known ?? numbers.slice_labelled)[at];
  const right = (numbers.slice_right ?? numbers.slice_positive)[at];
  const facts = policy.slices[row];
  const test = facts.tests[bandPlace];
  const status = STATUSES[numbers[`status_${bandPlace}`]?.[at] ?? 3];
  // How many labels are missing was estimated at the band's own threshold.
  const own = policy.bands[bandPlace].record.threshold;
  const isOwn = own !== null && figures.cut === cutAt(numbers, own);
  const isCounted = policy.traffic?.sliced_by.includes(facts.by);
  return {
    labelled,
    precision: labelled ? right / known : null,
    status,
    more: status === "insufficient" && isOwn ? (test?.more_labels ?? null) : null,
    own: test?.threshold ?? null,
    volume: isCounted
      ? boundedVolume(numbers.slice_above, numbers.slice_inside, numbers, row * numbers.n, policy.traffic.exposure, figures.cut, figures.taken)
      : null,
  };
}

// What is known of every slice, in their order.
function slicesAt(policy, numbers, bandPlace, figures) {
  return policy.slices.map((_, row) => sliceAt(policy, numbers, bandPlace, row, figures));
}

const SORTS = {
  slice: (row) => `${row.facts.by}\u0000${row.facts.value}`,
  status: (row) => ["below", "insufficient", "untested", "certified"].indexOf(row.now?.status ?? "untested"),
  precision: (row) => row.now?.precision ?? -1,
  flagged: (row) => row.now?.labelled ?? 0,
  labels: (row) => row.facts.n_labelled,
  volume: (row) => row.now?.volume?.expected ?? -1,
};

function sliceTable(policy) {
  const columns = ["slice", "status", "precision", "flagged", "labels", ...(policy.traffic?.sliced_by.length ? ["volume"] : [])];
  const rows = policy.slices.map((facts, place) => sliceRow(facts, place, columns));
  const heads = columns.map((name) => {
    const button = element("button", { type: "button", onclick: () => sortBy(name) }, words(`slices.${name}`));
    return element("th", { scope: "col", class: name === "slice" || name === "status" ? "" : "number" }, button);
  });
  const body = element("tbody");
  const node = element("table", { class: "list slices" }, element("caption", { class: "unseen" }, words("slices.caption")), element("thead", {}, element("tr", {}, heads)), body);
  let order = { name: "status", isRising: true };
  let filter = null;
  let isArranged = false;
  return { node, update, show };

  function sortBy(name) {
    order = { name, isRising: order.name === name ? !order.isRising : name === "slice" || name === "status" };
    arrange();
  }

  function arrange() {
    const key = SORTS[order.name];
    const compare = (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a.place - b.place);
    const sorted = rows.filter((row) => filter === null || row.facts.by === filter).sort(compare);
    if (!order.isRising) sorted.reverse();
    body.replaceChildren(...sorted.map((row) => row.node));
    heads.forEach((head, i) => {
      if (columns[i] === order.name) head.setAttribute("aria-sort", order.isRising ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  }

  function show(by) {
    filter = by;
    arrange();
  }

  // `found` is what `slicesAt` knows of every slice.
  function update(found) {
    for (const row of rows) {
      row.now = found[row.place];
      row.update();
    }
    // Rows keep their places while somebody moves a threshold.
    if (!isArranged) arrange();
    isArranged = true;
  }
}

function sliceRow(facts, place, columns) {
  const pill = badge("rest", "");
  const more = element("span", { class: "more" });
  const cells = Object.fromEntries(columns.slice(2).map((name) => [name, element("td", { class: "number", "data-label": words(`slices.${name}`) })]));
  const node = element(
    "tr", {},
    element("th", { scope: "row" }, foreign(facts.by, { class: "by" }), " ", foreign(facts.value)),
    element("td", { "data-label": words("slices.status") }, pill, more),
    Object.values(cells),
  );
  const row = { facts, place, node, now: null, update };
  return row;

  function update() {
    const now = row.now;
    const status = now?.status ?? "untested";
    pill.className = `badge ${STATUS_KINDS[status]}`;
    say(pill, words(`status.${status}`));
    const notes = [];
    if (now?.more) notes.push(now.more === 1 ? words("slices.close") : words("slices.more", { n: now.more, about: about(now.more) }));
    if (now?.own) notes.push(words("slices.own", { threshold: shownThreshold(now.own) }));
    say(more, notes.join(", "));
    say(cells.precision, shown(now?.precision, percent));
    say(cells.flagged, now ? whole(now.labelled) : "–");
    say(cells.labels, whole(facts.n_labelled));
    if (cells.volume) say(cells.volume, now?.volume ? shownVolume(now.volume) : "–");
  }
}
