// Exact bounds for the mean of a Poisson count (Garwood 1936): quantiles of gamma distributions, to 1e-12 or so.
const POISSON_TAIL = (1 - 0.95) / 2;

// x - log(1 + x), without loss where x is small.
function excess(x) {
  if (Math.abs(x) > 0.1) return x - Math.log1p(x);
  let sum = 0;
  for (let power = x * x, n = 2; Math.abs(power) > 1e-18; power *= -x, n++) sum += power / n;
  return sum;
}

// x^a e^-x / gamma(a + 1), by Stirling's series where a is large.
function gammaDensity(a, x) {
  if (a < 20) {
    let log = a * Math.log(x) - x;
    for (let n = 2; n <= a; n++) log -= Math.log(n);
    return Math.exp(log);
  }
  const series = 1 / (12 * a) - 1 / (360 * a ** 3) + 1 / (1260 * a ** 5) - 1 / (1680 * a ** 7);
  return Math.exp(-a * excess((x - a) / a) - series) / Math.sqrt(2 * Math.PI * a);
}

// Shares of a gamma distribution with whole shape a: below x by a series, above x by a continued fraction (Lentz).
function gammaBelow(a, x) {
  let term = 1;
  let sum = 1;
  for (let n = a + 1; term > sum * 1e-17; n++) {
    term *= x / n;
    sum += term;
  }
  return gammaDensity(a, x) * sum;
}

function gammaAbove(a, x) {
  let b = x + 1 - a;
  let c = 1e300;
  let d = 1 / b;
  let fraction = d;
  for (let n = 1; n < 1e7; n++) {
    b += 2;
    d = 1 / (n * (a - n) * d + b);
    c = b + (n * (a - n)) / c;
    fraction *= c * d;
    if (Math.abs(c * d - 1) < 1e-16) break;
  }
  return gammaDensity(a, x) * a * fraction;
}

// The x that a gamma distribution with whole shape a exceeds with probability 1 - tail (below) or tail.
function gammaQuantile(a, tail, below) {
  const z = below ? -1.959963984540054 : 1.959963984540054;
  let x = a * Math.max(1 - 1 / (9 * a) + z / (3 * Math.sqrt(a)), 0.05) ** 3; // Wilson and Hilferty
  for (let turn = 0; turn < 40; turn++) {
    const missing = below ? tail - gammaBelow(a, x) : gammaAbove(a, x) - tail;
    const slope = (gammaDensity(a, x) * a) / x;
    const next = Math.max(x + missing / slope, x / 8);
    if (Math.abs(next - x) <= 1e-14 * x) return next;
    x = next;
  }
  return x;
}

const REMEMBERED = new Map();

// [low, high] for the mean of a count that came out as `count`.
function poissonBounds(count) {
  if (!REMEMBERED.has(count)) {
    const low = count ? gammaQuantile(count, POISSON_TAIL, true) : 0;
    REMEMBERED.set(count, [low, gammaQuantile(count + 1, POISSON_TAIL, false)]);
    if (REMEMBERED.size > 4096) REMEMBERED.delete(REMEMBERED.keys().next().value);
  }
  return REMEMBERED.get(count);
}
