"""The verb `plan`: how many labels, above which score floor, certify each precision band's target."""

import math
from pathlib import Path

from calibrate.looks import share_of
from calibrate.plan.file import BandPlan, OptionRecord, PlanFile, PolicyPlan
from calibrate.plan.inputs import PlanInputs, PolicyInputs, read_plan_inputs
from calibrate.plan.power import MOST_LABELS, labels_above
from calibrate.plan.prospect import Prospect, prospect_of
from calibrate.plan.strata import labels_in_strata
from calibrate.plan.summary import summary_of_plan, table_of
from calibrate.report.shown import percent
from data.errors import InputError
from data.files import atomic_file, atomic_folder, write_json
from data.policy import Band, Policy
from data.summary import Summary

PLAN_FILE = "plan.json"
BY_PILOT = (
    "Simulated from what the pilot leaves open about the precision, for the first look at a new golden set, tested "
    "without a pilot of its own: an estimate of known labels, no promise. `calibrate` decides."
)
BY_CALIBRATOR = (
    "Simulated from an earlier calibration's probabilities, taken at their word, for the first look at a new golden "
    "set, tested without a pilot: an estimate of known labels, more hopeful than one from a pilot, no promise."
)


def plan(
    *,
    policies: Path,
    out: Path,
    scores: Path | None = None,
    validation: Path | None = None,
    golden: Path | None = None,
    pool: Path | None = None,
    calibration: Path | None = None,
    power: float = 0.8,
    keep_recall: float = 0.8,
) -> Summary:
    """Say how many labels each precision band would take, from all traffic and above floors.

    Args:
        policies: folder of policy files.
        out: folder to write: plan.json and plan.csv. Replaced whole.
        scores: of the pilot's items.
        validation: folder with labelled items: the pilot.
        golden: folder of a golden set, the pilot instead of `validation`.
        pool: scores of unlabelled posts as they come; None lets the pilot's own scores stand for the traffic.
        calibration: operating_points.json of an earlier calibration, whose probabilities of `pool` replace a pilot.
        power: chance with which a threshold shall be certified.
        keep_recall: share of the best threshold's recall that it shall keep.

    Raises:
        InputError: a file is wrong, or the files do not belong together.
    """
    for name, value in (("power", power), ("keep_recall", keep_recall)):
        if not 0 < value < 1:
            raise InputError(f"{name}={value}: expected a number between 0 and 1")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / PLAN_FILE).is_file()):
        raise InputError(f"{out}: exists and is no earlier plan; name a new folder as out=")
    inputs = read_plan_inputs(
        policies=policies, scores=scores, validation=validation, golden=golden, pool=pool, calibration=calibration
    )
    content = PlanFile(
        nature=BY_PILOT if inputs.calibrators is None else BY_CALIBRATOR,
        power=power,
        keep_recall=keep_recall,
        scores_digest=inputs.scores_digest,
        pool_sha256=inputs.pool_sha256,
        policies=tuple(
            _policy_plan(policy, inputs.of(column), inputs, power=power, keep_recall=keep_recall)
            for column, policy in enumerate(inputs.policies)
        ),
    )
    with atomic_folder(out) as folder:
        write_json(folder / PLAN_FILE, content.model_dump(mode="json", by_alias=True))
        with atomic_file(folder / "plan.csv") as file:
            table_of(content).write_csv(file)
    n_bands = sum(len(policy.bands) for policy in inputs.policies)
    return summary_of_plan(content, n_bands=n_bands, written=[out / "plan.csv", out / PLAN_FILE])


def _policy_plan(
    policy: Policy, known: PolicyInputs, inputs: PlanInputs, *, power: float, keep_recall: float
) -> PolicyPlan:
    n_labels = 0 if known.pilot is None else int((known.pilot[1] >= 0).sum())
    known_share = n_labels / len(known.pilot[1]) if known.pilot is not None and n_labels else None
    bands = [band for band in policy.bands if band.kind == "precision"]
    if known.missing:
        plans = [_band_plan(band, None, f"nothing can be planned: {known.missing}", []) for band in bands]
    else:
        prospect = prospect_of(
            known.traffic,
            known.traffic_weights,
            known.pilot,
            calibrator=known.calibrator,
            scale=inputs.metadata.scale,
            above=known.above,
        )
        plans = [_planned(band, prospect, known_share or 1.0, power=power, keep_recall=keep_recall) for band in bands]
    return PolicyPlan(
        policy_id=policy.policy_id,
        policy_version=policy.version,
        n_pilot_labels=n_labels,
        known_share=known_share,
        above=known.above,
        bands=tuple(plans),
    )


def _planned(band: Band, prospect: Prospect, known_share: float, *, power: float, keep_recall: float) -> BandPlan:
    assert band.target_precision is not None
    assert band.confidence is not None
    target, delta = band.target_precision, (1 - band.confidence) * share_of(1)
    best, highest = float(prospect.best_recall(target).mean()), prospect.highest_precision()
    if highest < target:
        reason = f"cannot be reached: a precision of at most {percent(highest)} is expected above every floor"
        return _band_plan(band, best, reason, [])
    options = []
    for floor in prospect.floors:
        found = labels_above(prospect, floor, target=target, delta=delta, power=power, keep_recall=keep_recall)
        options.append(OptionRecord.of("simple_random", floor, found, known_share))
    found = labels_in_strata(prospect, target=target, delta=delta, power=power, keep_recall=keep_recall)
    options.append(OptionRecord.of("stratified", prospect.floors[0], found, known_share))
    if all(option.labels is None for option in options):
        reason = (
            f"cannot be reached with {MOST_LABELS:,} labels above any floor, nor in strata: the best threshold is "
            f"expected to catch {percent(best)} of violations, and it is left open whether there is one"
        )
    else:
        reason = f"the best threshold is expected to catch {percent(best)} of violations"
    return _band_plan(band, best, reason, options)


def _band_plan(band: Band, best: float | None, reason: str, options: list[OptionRecord]) -> BandPlan:
    assert band.target_precision is not None
    assert band.confidence is not None
    costs = [math.inf if option.labels is None else option.labels for option in options]
    cheapest = costs.index(min(costs)) if costs and min(costs) < math.inf else None
    return BandPlan(
        action=band.action,
        queue=band.queue,
        target=band.target_precision,
        confidence=band.confidence,
        best_recall=best,
        recommended=cheapest,
        reason=reason,
        options=tuple(options),
    )
