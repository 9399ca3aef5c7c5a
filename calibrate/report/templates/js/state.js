// What the page holds, and what somebody chose on it.
const PAGE = JSON.parse(document.getElementById("facts").textContent);
const REVIEWING = new Set(["review", "llm_review", "escalate"]);

// The threshold chosen for each band: as calibrated to begin with; null where the band is off.
const CHOSEN = PAGE.policies.map((policy) => policy.bands.map((band) => band.record.threshold));
const SETTINGS = { reviewSeconds: PAGE.review_seconds };
const NUMBERS = new Map();

// The unpacked numbers of a policy, once.
function numbersOf(place) {
  if (!NUMBERS.has(place)) NUMBERS.set(place, unpacked(PAGE.policies[place], place));
  return NUMBERS.get(place);
}

function isMoved(policyPlace, bandPlace) {
  return CHOSEN[policyPlace][bandPlace] !== PAGE.policies[policyPlace].bands[bandPlace].record.threshold;
}

// The first cut at or below a threshold, or the nearest one: its place. Cuts fall.
function cutAt(numbers, threshold) {
  let low = 0;
  let high = numbers.n - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers.threshold[middle] > threshold) low = middle + 1;
    else high = middle;
  }
  const stricter = numbers.threshold[Math.max(0, low - 1)];
  return low > 0 && stricter - threshold < threshold - numbers.threshold[low] ? low - 1 : low;
}

// The cut from which the bands before this one take the posts; null if none of them is on.
function takenFrom(policyPlace, bandPlace, numbers) {
  const before = CHOSEN[policyPlace].slice(0, bandPlace).filter((threshold) => threshold !== null);
  return before.length ? cutAt(numbers, Math.min(...before)) : null;
}
