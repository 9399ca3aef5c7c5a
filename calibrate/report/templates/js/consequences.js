// What a threshold does in a day, by the arithmetic of calibrate/report/live/consequences.py and
// calibrate/traffic/volume.py. Without traffic: of 10,000 posts, by the golden labels alone.
const SAMPLE_OF = 10_000;
const NOTHING = { posts: 0, known: 0, right: 0 };

function estimatedPosts(numbers, cut) {
  return numbers.traffic_above[cut] + numbers.traffic_share[cut] * numbers.traffic_inside[cut];
}

// Posts, and weights of golden labels, at or above a cut.
function reached(policy, numbers, cut) {
  const { known, right } = weightsOf(numbers);
  const posts = policy.traffic
    ? estimatedPosts(numbers, cut) / policy.traffic.exposure
    : (SAMPLE_OF * known[cut]) / known[numbers.n - 1];
  const isBelowFloor = policy.floor !== null && numbers.threshold[cut] < Math.fround(policy.floor);
  return { posts, known: known[cut], right: right[cut], isBelowFloor };
}

// All posts; of a golden set with a floor, those above it, since of others it does not speak.
function everything(policy, numbers) {
  const last = numbers.n - 1;
  const { known, right } = weightsOf(numbers);
  if (!policy.traffic) return { posts: SAMPLE_OF, known: known[last], right: right[last] };
  const floorCut = policy.floor === null ? null : cutAt(numbers, Math.fround(policy.floor));
  const posts = floorCut === null ? policy.traffic.total : estimatedPosts(numbers, floorCut);
  return { posts: posts / policy.traffic.exposure, known: known[last], right: right[last] };
}

function between(looser, stricter) {
  return {
    posts: looser.posts - stricter.posts,
    known: looser.known - stricter.known,
    right: looser.right - stricter.right,
  };
}

function shareOf(part, weight) {
  if (part.posts <= 0) return 0;
  return part.known > 0 ? (part.posts * weight) / part.known : null;
}

// Posts that a band acts on, those of them that do not violate, and violations that it and the bands before leave;
// null where no golden label speaks of them.
function consequences(policy, numbers, cut, takenCut) {
  const at = reached(policy, numbers, cut);
  const taken = takenCut === null ? NOTHING : reached(policy, numbers, takenCut);
  const isFurther = takenCut === null || cut >= takenCut;
  const own = isFurther ? between(at, taken) : NOTHING;
  const below = between(everything(policy, numbers), isFurther ? at : taken);
  return {
    posts: Number.isNaN(own.posts) ? null : own.posts,
    wrongful: at.isBelowFloor && own.posts > 0 ? null : shareOf(own, own.known - own.right),
    left: shareOf(below, below.right),
  };
}

// Posts a day in a band's own part, with exact Poisson bounds; null without traffic.
function volume(policy, numbers, cut, takenCut) {
  if (!policy.traffic) return null;
  return boundedVolume(numbers.traffic_above, numbers.traffic_inside, numbers, 0, policy.traffic.exposure, cut, takenCut);
}

// The same for one row of counts, which begins at `start`: of all posts, or of a slice.
function boundedVolume(above, inside, numbers, start, exposure, cut, takenCut) {
  if (takenCut !== null && takenCut >= cut) return { expected: 0, low: 0, high: 0 };
  const at = (place) => ({
    surely: above[start + place],
    possibly: above[start + place] + inside[start + place],
    estimated: above[start + place] + numbers.traffic_share[place] * inside[start + place],
  });
  const part = at(cut);
  const taken = takenCut === null ? { surely: 0, possibly: 0, estimated: 0 } : at(takenCut);
  const [low] = poissonBounds(Math.max(0, part.surely - taken.possibly));
  const [, high] = poissonBounds(part.possibly - taken.surely);
  return { expected: (part.estimated - taken.estimated) / exposure, low: low / exposure, high: high / exposure };
}

function reviewHours(posts) {
  return (posts * SETTINGS.reviewSeconds) / 3600;
}
