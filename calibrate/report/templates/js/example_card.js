// One post: its picture, what the model and the annotators said, and where it comes from.

function exampleCard(policy, held, example) {
  const distance = element("p", { class: "distance" });
  const known = example.label === null ? "unknown" : example.label ? "violating" : "not_violating";
  const kind = { unknown: "warn", violating: "bad", not_violating: "good" }[known];
  const media = words(`examples.media.${example.media_type}`, { n: example.n_media });
  const origin = held.facts.columns.map((by, at) => (by === "media_type" || example.slices[at] === null ? null : foreign(example.slices[at], { title: by }))).filter(Boolean);
  const node = element(
    "li", { class: "example" },
    pictureOf(policy, held.pictures, example),
    element("p", { class: "said" }, element("span", { class: "score" }, words("examples.score", { score: exactScore(example.score) })), " ", badge(kind, words(`examples.label.${known}`))),
    distance,
    example.caption ? element("p", { class: "caption" }, foreign(example.caption)) : element("p", { class: "soft" }, words("examples.no_caption")),
    votesOf(example).map((text) => element("p", { class: "votes" }, text)),
    example.reason_codes.length ? element("p", { class: "votes" }, words("examples.codes"), " ", example.reason_codes.flatMap((code, at) => [at ? ", " : null, foreign(code)])) : null,
    element("p", { class: "origin" }, [element("span", {}, media), ...origin].flatMap((each, at) => [at ? " · " : null, each])),
    element("p", { class: "origin" }, foreign(example.item_id, { class: "code" })),
  );
  return { node, place: (text) => say(distance, text) };
}

// Scores near a threshold differ late: more digits than elsewhere on the page.
function exactScore(score) {
  return grouped(Math.abs(score) < 1e-3 && score !== 0 ? score.toExponential(2) : fixed(score, 3));
}

// A line for each who was asked: annotators, the adjudication, and those whose answers make no label.
function votesOf(example) {
  const lines = new Map();
  for (const { by, value, n } of example.votes) {
    lines.set(by, [...(lines.get(by) ?? []), words(`examples.value.${value}`, { n })]);
  }
  if (!lines.size) return [words("examples.no_votes")];
  return [...lines].map(([by, said]) => words(`examples.by.${by}`, { said: said.join(words("examples.and")) }));
}
