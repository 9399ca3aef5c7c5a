// Numbers as people read them: the same digits as calibrate/report/shown.py writes, which tests hold against each other.

// A number with so many decimals, rounded as Python rounds: halves, which toFixed sends up, to the even digit.
function fixed(value, decimals) {
  const size = Math.abs(value);
  let text = size.toFixed(decimals);
  const exact = size.toFixed(Math.min(100, decimals + 60));
  const cut = exact.indexOf(".") + 1 + decimals;
  if (/^50*$/.test(exact.slice(cut))) {
    const down = exact.slice(0, decimals ? cut : cut - 1);
    if (Number(down.at(-1)) % 2 === 0) text = down;
  }
  return value < 0 && Number(text) !== 0 ? `-${text}` : text;
}

function grouped(text) {
  const [before, after] = text.split(".");
  const parts = before.replace(/\B(?=(\d{3})+$)/g, WORDS["number.group"]);
  return after === undefined ? parts : parts + WORDS["number.decimal"] + after;
}

// A whole number, in groups of thousands.
function whole(value) {
  return grouped(fixed(value, 0));
}

// A share in percent, never rounded up to 100 % or down to 0 %.
function percent(share) {
  const text = fixed(100 * share, 1).replace(/\.0$/, "");
  if (text === "100" && share < 1) return words("percent.over", { number: grouped("99.9") });
  if (text === "0" && share > 0) return words("percent.under", { number: grouped("0.1") });
  return words("percent", { number: grouped(text) });
}

// An estimated number of posts, hours, …: whole from 10 on, else with one decimal.
function estimate(value) {
  if (value === 0) return "0";
  if (value < 0.05) return words("number.under", { number: grouped("0.1") });
  return value < 9.95 ? grouped(fixed(value, 1)) : whole(value);
}

// A count rounded up to two significant digits.
function about(count) {
  const digits = 10 ** Math.max(0, String(count).length - 2);
  return whole(Math.ceil(count / digits) * digits);
}

// A threshold for reading, at least three significant digits; the exact one stands in the files.
function shownThreshold(threshold) {
  const size = Math.abs(threshold);
  return grouped(size >= 1 && size < 1000 ? fixed(threshold, 2) : threeDigits(threshold));
}

// Python's ".3g": three significant digits, no trailing zeros, an exponent below 1e-4 and from 1000 on.
function threeDigits(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  let [digits, power] = size.toExponential(2).split("e");
  power = Number(power);
  const exact = size.toExponential(62);
  if (/^50*e/.test(exact.slice(4)) && Number(exact[3]) % 2 === 0) {
    digits = exact.slice(0, 4);
    power = Number(exact.split("e")[1]);
  }
  const sign = value < 0 ? "-" : "";
  const short = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (power < -4 || power >= 3) {
    const exponent = String(Math.abs(power)).padStart(2, "0");
    return `${sign}${short(digits)}e${power < 0 ? "-" : "+"}${exponent}`;
  }
  return sign + short(Number(`${digits}e${power}`).toFixed(2 - power));
}

// Posts a day with their bounds: how far these lie off at most; where few, both of them.
function shownVolume(volume) {
  if (volume.high === 0) return words("volume.none");
  const margin = Math.ceil(Math.max(volume.expected - volume.low, volume.high - volume.expected));
  if (volume.expected < Math.max(10, 2 * margin)) {
    return words("volume.range", { low: whole(Math.floor(volume.low)), high: whole(Math.ceil(volume.high)) });
  }
  return words("volume.margin", { expected: whole(volume.expected), margin: about(margin) });
}

// A float32 number in as few digits as tell it from its neighbours: what the number field shows.
function typed(threshold) {
  for (let digits = 1; digits < 9; digits++) {
    const text = String(Number(threshold.toPrecision(digits)));
    if (Math.fround(Number(text)) === threshold) return text;
  }
  return String(Number(threshold.toPrecision(9)));
}
