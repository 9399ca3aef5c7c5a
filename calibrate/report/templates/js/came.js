// What came of signing, for whoever signed: which thresholds, on what they stand, and what is still missing.
function cameOf({ signer, is_new: isNew, others, signed }) {
  const by = isolated(signer);
  const names = signed.by.map(isolated);
  const bands = signed.bands.filter(({ signatures }) => signatures.length);
  const lacking = bands.filter(({ missing }) => missing > 0).length;
  const show = words("before.show_signed", { by: names.join(words("examples.and")) });
  const steps = { n: lacking, show, choose: words("choice.open"), sign: words("served.sign") };
  return [
    element("p", {}, words(isNew ? "served.signed" : "served.signed_before", { by, counts: counted(bands) })),
    names.length > 1 ? element("p", {}, words("served.together", { by: names.join(words("examples.and")) })) : null,
    others.length ? element("p", {}, words("served.other_choice", { by: others.map(isolated).join(words("examples.and")) })) : null,
    element("p", { class: "next" }, lacking ? words("served.lacking", steps) : words("served.complete")),
    element("ul", { class: "entries" }, bands.map(signedRow)),
  ];
}

// How many thresholds stand on a promise, on posts a day alone, or on the word of who signed.
function counted(bands) {
  const names = { certified: "promised", fits: "fitting", waived: "waived" };
  const kinds = { promised: 0, fitting: 0, waived: 0, off: 0 };
  for (const { status } of bands) kinds[names[status] ?? "off"] += 1;
  return Object.entries(kinds).filter(([, n]) => n).map(([name, n]) => words(`served.${name}`, { n })).join(words("examples.and"));
}

function signedRow({ policy_id: id, band: bandPlace, threshold, daily_volume: volume, missing }) {
  const policy = PAGE.policies.find((each) => each.policy_id === id);
  const band = policy.bands[bandPlace];
  const where = standing(band, threshold, policy.traffic ? volume : undefined);
  return element(
    "li", {}, element("span", {}, element("strong", {}, foreign(policy.name)), " ", foreign(band.title), ": ", shownOrOff(threshold)),
    element("span", { class: "badges" }, threshold === null ? null : standingBadge(where), missing ? badge("warn", words("signed.missing", { n: missing })) : null),
  );
}
