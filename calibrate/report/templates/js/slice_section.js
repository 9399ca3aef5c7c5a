// The section on slices: table or charts, of all columns or of one.

function sliceSection(policy, bandPlace, numbers) {
  if (!policy.slices.length) return { node: section("slices", words("slices.title"), element("p", { class: "soft" }, words("slices.none"))), update() {} };
  const table = sliceTable(policy);
  let charts = null;
  let latest = null;
  let by = null;
  const summary = element("p", { class: "soft" });
  const holder = element("div", { class: "scroll" }, table.node);
  const columns = [...new Set(policy.slices.map((facts) => facts.by))];
  const pickers = [null, ...columns].map((each) => chip(each === null ? words("slices.all") : isolated(each), () => choose(each)));
  const views = ["table", "charts"].map((name) => chip(words(`slices.${name}`), () => view(name)));
  press(pickers, 0);
  press(views, 0);
  const isTested = policy.slices.some((facts) => facts.tests[bandPlace]);
  const node = section(
    "slices", words("slices.title"), summary,
    element("div", { class: "chips" }, element("div", { role: "group", "aria-label": words("slices.columns") }, columns.length > 1 ? pickers : []), element("div", { role: "group", "aria-label": words("slices.views") }, views)),
    holder,
    element("p", { class: "soft" }, words(isTested ? "slices.about" : "slices.about_untested"), " ", words(policy.traffic?.sliced_by.length ? "slices.over_volume" : "slices.over")),
  );
  return { node, update };

  function choose(each) {
    by = each;
    press(pickers, each === null ? 0 : 1 + columns.indexOf(each));
    table.show(by);
    charts?.show(by);
  }

  function view(name) {
    press(views, name === "table" ? 0 : 1);
    if (name === "charts" && charts === null) {
      charts = sliceCharts(policy, bandPlace, numbers);
      charts.show(by);
    }
    holder.replaceChildren(name === "table" ? table.node : charts.node);
    update(latest);
  }

  function update(figures) {
    latest = figures;
    const found = slicesAt(policy, numbers, bandPlace, figures);
    if (table.node.isConnected || !charts) table.update(found);
    if (charts?.node.isConnected) charts.update(found, figures);
    const counts = { certified: 0, below: 0, insufficient: 0, untested: 0 };
    for (const now of found) counts[now?.status ?? "untested"] += 1;
    say(summary, isTested && figures ? words("slices.summary", { certified: whole(counts.certified), below: whole(counts.below), insufficient: whole(counts.insufficient) }) : "");
  }
}

function chip(text, onclick) {
  return element("button", { type: "button", class: "chip", "aria-pressed": "false", onclick }, text);
}

function press(chips, place) {
  chips.forEach((each, i) => each.setAttribute("aria-pressed", String(i === place)));
}

function section(name, title, ...children) {
  return element("section", { class: name, "aria-labelledby": `${name}-title` }, element("h2", { id: `${name}-title` }, title), ...children);
}
