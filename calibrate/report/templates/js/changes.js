// What a threshold changes against production, by the arithmetic of calibrate/production/changes.py. Posts, or their
// weight, stand by what their label says: [violating, not violating, unknown].
const known = (posts) => posts[0] + posts[1];
const total = (posts) => posts[0] + posts[1] + posts[2];
const sum = (first, second) => first.map((each, kind) => each + second[kind]);
const less = (first, second) => first.map((each, kind) => each - second[kind]);
const ratio = (part, of) => (of > 0 ? part / of : null);

// Posts at a cut (null flags nothing): by number, or by weight.
function tally(policy, numbers, bandPlace, cut, isWeight) {
  const { all, all_weights: allWeights, bands } = policy.production;
  const at = (name) => {
    const rows = numbers[`${name}${isWeight ? "_weight" : ""}_${bandPlace}`];
    return [0, 1, 2].map((kind) => (cut === null ? 0 : rows[kind * numbers.n + cut]));
  };
  const before = isWeight ? bands[bandPlace].before_weights : bands[bandPlace].before;
  const both = at("both");
  return { all: isWeight ? allWeights : all, before, both, gained: at("gained"), lost: less(before, both) };
}

// All figures at a cut: shares before and now, with `ends` of their difference where they can be computed.
function changesAt(policy, numbers, bandPlace, cut) {
  const counts = tally(policy, numbers, bandPlace, cut, false);
  const shares = policy.production.all_weights === null ? counts : tally(policy, numbers, bandPlace, cut, true);
  const { gained, lost } = counts;
  const isBelowFloor = policy.floor !== null && cut !== null && numbers.threshold[cut] < Math.fround(policy.floor);
  const isSample = policy.no_evidence === null && !isBelowFloor;
  const isTested = isSample && !policy.is_weighted;
  const better = gained[0] + lost[1];
  const worse = gained[1] + lost[0];
  const now = sum(shares.both, shares.gained);
  const { all, before, both } = shares;
  const shift = (share, ends) => ({ before: isSample ? share(before) : null, now: isSample ? share(now) : null, ends: isTested ? ends() : null });
  const paired = (pick) => (pick(all) > 0 ? pairedDifference(pick(both), pick(gained), pick(lost), pick(all)) : null);
  const first = (posts) => posts[0];
  return {
    counts,
    better,
    worse,
    p: isTested ? mcnemar(better, worse) : null,
    volume: shift((posts) => ratio(total(posts), total(all)), () => paired(total)),
    precision: shift((posts) => ratio(posts[0], known(posts)), () =>
      known(now) > 0 && known(before) > 0 ? precisionDifference([known(now), now[0]], [known(before), before[0]], [known(both), both[0]]) : null,
    ),
    recall: shift((posts) => ratio(posts[0], all[0]), () => paired(first)),
  };
}

// A difference of two shares in percentage points, signed; a minus sign where people expect one.
function points(difference) {
  return signedText(fixed(Math.abs(100 * difference), 1).replace(/\.0$/, ""), difference);
}

// A difference of posts of 10,000, signed.
function signedPosts(difference) {
  return signedText(fixed(Math.abs(SAMPLE_OF * difference), 0), difference);
}

function signedText(text, difference) {
  if (text === "0") return "0";
  return `${difference < 0 ? "−" : "+"}${grouped(text)}`;
}
