// Who vouches for a band's threshold, where people signed it.

function signedBy({ record, signatures_missing: missing }) {
  if (!record.signatures.length) return null;
  const lines = record.signatures.map(({ by, at, rationale, waiver }) => {
    const values = { by: isolated(by), date: at.slice(0, 10), rationale: isolated(rationale), waiver: isolated(waiver ?? "") };
    return element("li", {}, words(waiver === null ? "signed.by" : "signed.waived", values));
  });
  return element("ul", { class: "signed" }, lines, missing ? element("li", { class: "lacking" }, words("signed.missing", { n: missing })) : null);
}
