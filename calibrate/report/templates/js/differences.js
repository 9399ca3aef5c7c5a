// Tests and intervals for two models that decide about the same posts: calibrate/production/differences.py.
const Z95 = 1.959963984540054;

function logFactorial(n) {
  if (n < 20) {
    let log = 0;
    for (let i = 2; i <= n; i++) log += Math.log(i);
    return log;
  }
  const series = 1 / (12 * n) - 1 / (360 * n ** 3) + 1 / (1260 * n ** 5) - 1 / (1680 * n ** 7);
  return (n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + series;
}

// McNemar's exact p-value: twice the lower tail of a fair coin, at most 1.
function mcnemar(better, worse) {
  const n = better + worse;
  if (better === worse) return 1;
  const k = Math.min(better, worse);
  let term = Math.exp(logFactorial(n) - logFactorial(k) - logFactorial(n - k) - n * Math.LN2);
  let tail = 0;
  for (let i = k; i >= 0 && term > tail * 1e-17; i--) {
    tail += term;
    term *= i / (n - i + 1);
  }
  return Math.min(1, 2 * tail);
}

function wilson(successes, trials) {
  const share = successes / trials;
  const square = Z95 * Z95;
  const middle = 2 * trials * share + square;
  const reach = Z95 * Math.sqrt(square + 4 * trials * share * (1 - share));
  const below = 2 * (trials + square);
  return [Math.max(0, (middle - reach) / below), Math.min(1, (middle + reach) / below)];
}

function joined(first, second, correlation) {
  return Math.sqrt(Math.max(0, first * first - 2 * correlation * first * second + second * second));
}

function squareAndAdd(k1, n1, k2, n2, correlation) {
  const [p1, p2] = [k1 / n1, k2 / n2];
  const [[low1, high1], [low2, high2]] = [wilson(k1, n1), wilson(k2, n2)];
  return [p1 - p2 - joined(p1 - low1, high2 - p2, correlation), p1 - p2 + joined(high1 - p1, p2 - low2, correlation)];
}

// Of two shares of the same n posts: Newcombe's method 10.
function pairedDifference(both, gained, lost, n) {
  const neither = n - both - gained - lost;
  const [first, second] = [both + gained, both + lost];
  const product = first * (n - first) * second * (n - second);
  let correlation = 0;
  if (product > 0) {
    let covariance = both * neither - gained * lost;
    if (covariance > 0) covariance = Math.max(0, covariance - n / 2);
    correlation = covariance / Math.sqrt(product);
  }
  return squareAndAdd(first, n, second, n, correlation);
}

// Of two precisions, each [labels flagged, those that violate]; `shared` is what both flag.
function precisionDifference([n1, k1], [n2, k2], [n12, k12]) {
  const [p1, p2] = [k1 / n1, k2 / n2];
  const product = n1 * p1 * (1 - p1) * n2 * p2 * (1 - p2);
  let correlation = 0;
  if (n12 > 0 && product > 0) {
    const q = k12 / n12;
    correlation = Math.min(1, (n12 * (q * (1 - q) + (q - p1) * (q - p2))) / Math.sqrt(product));
  }
  return squareAndAdd(k1, n1, k2, n2, correlation);
}
