// What the golden labels say at a cut, for one band.
const MILLION = 1e6;

function reading(policy, numbers, band, cut) {
  const threshold = numbers.threshold[cut];
  const record = band.record;
  const flagged = numbers.flagged[cut];
  if (threshold === record.threshold) {
    // As operating_points.json has it: estimates of an auditor or of bets are no counts.
    return {
      threshold,
      flagged: record.n_flagged,
      labelled: record.n_flagged_labelled,
      precision: record.precision,
      lower: record.precision_lower_bound,
      ribbon: record.precision === null ? null : ribbonAt(numbers, band, cut),
      recall: record.recall,
      interval: record.recall_interval,
    };
  }
  const isSilent = policy.no_evidence !== null || (policy.floor !== null && threshold < Math.fround(policy.floor));
  const labelled = numbers.labelled[cut];
  if (isSilent || labelled === 0) {
    return { threshold, flagged, labelled, precision: null, lower: null, ribbon: null, recall: null, interval: null };
  }
  const { known, right } = weightsOf(numbers);
  const all = right[numbers.n - 1];
  const at = (name) => numbers[`${name}_${band.bounds}`][cut] / MILLION;
  return {
    threshold,
    flagged,
    labelled,
    precision: right[cut] / known[cut],
    lower: at("lower"),
    ribbon: ribbonAt(numbers, band, cut),
    recall: all > 0 ? right[cut] / all : null,
    interval: all > 0 ? [at("recall_low"), at("recall_high")] : null,
  };
}

function ribbonAt(numbers, band, cut) {
  return band.has_ribbon ? numbers[`ribbon_${band.bounds}`][cut] / MILLION : null;
}

// Weights of known labels and of the violating ones at each cut: their numbers where all weigh the same.
function weightsOf(numbers) {
  return { known: numbers.known ?? numbers.labelled, right: numbers.right ?? numbers.positive };
}

// A score as the calibrated probability of a violation; null where none was fitted.
function probabilityOf(policy, threshold) {
  const { scale, offset, reason } = policy.calibrator;
  return reason === null ? 1 / (1 + Math.exp(-(scale * logitOf(threshold) + offset))) : null;
}

// On the axis of the drawings: logits, whatever scale is served.
function logitOf(threshold) {
  if (PAGE.evidence.scores.scale === "logit") return threshold;
  const kept = Math.min(Math.max(threshold, 1e-7), 1 - 1e-7);
  return Math.log(kept / (1 - kept));
}
