"""The complete procedure on one file of scores: every policy tested, and all that its page shows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from calibrate.evidence import Evidence, evidence_of
from calibrate.following import following_moves
from calibrate.inputs import CalibrationInputs
from calibrate.operating_points_file import ErrorBudgetRecord
from calibrate.outcome import Outcome, outcome_of
from calibrate.policy_calibration import PolicyCalibration, Settings, calibrate_policy
from calibrate.production.compare import policy_against
from calibrate.production.files import Production
from calibrate.production.flips import words_of
from calibrate.report.examples.choose import ChosenExamples, anchors_of, choose_examples, most_of_policy
from calibrate.report.live.numbers import PolicyNumbers, policy_numbers
from calibrate.report.live.slices import slice_columns
from calibrate.report.write import ReportedPolicy
from calibrate.signing.again import Moves
from calibrate.signing.moved import BY_SIGNERS, FOLLOWING, described, moved
from calibrate.slices import rows_by_value
from calibrate.traffic.file import Counted, Traffic
from calibrate.traffic.policies import with_traffic
from data.labels import agreements_of


@dataclass(frozen=True)
class Procedure:
    """What all precisions of a model are certified by.

    Attributes:
        settings: how bands are tested.
        looks: number of this look at each policy's labels; none for those that keep no ledger.
        budget: how the chance of error is shared.
        examples: posts in a group of the page; 0 shows none.
    """

    settings: Settings
    looks: Mapping[str, int]
    budget: ErrorBudgetRecord
    examples: int

    def certified(
        self,
        inputs: CalibrationInputs,
        *,
        traffic: Traffic | None = None,
        moves: Moves = MappingProxyType({}),
        follows: Outcome | None = None,
        production: Production | None = None,
        candidates: Mapping[str, Production] = MappingProxyType({}),
    ) -> Outcome:
        """Certify the policies of a file of scores, one at a time, as sets may be large.

        Args:
            inputs: scores, golden set, policies.
            traffic: of the same scores.
            moves: thresholds to describe instead of those that are found.
            follows: the first precision of the same model, as it will serve: bands go where they decide most like
                its own, as far as they are certified.
            production: what serves today, to compare with.
            candidates: further models to compare with it, by name.
        """
        settings = self.settings
        declared = list(dict.fromkeys(rule.by for policy in inputs.policies for rule in policy.slices))
        items = inputs.golden_set.items
        rows = {by: rows_by_value(items[by]) for by in declared} if settings.slices != "off" else {}
        columns = slice_columns(items, declared)
        agreements = agreements_of(inputs.golden_set.annotations, inputs.policies)
        scale, found = inputs.scores.metadata.scale, []
        words = words_of(items)  # columns, no copy
        for policy in inputs.policies:
            evidence = evidence_of(inputs, policy.policy_id, slices=rows, look=self.looks.get(policy.policy_id))
            calibration = calibrate_policy(policy, evidence, scale=scale, settings=settings)
            tested = evidence.counted(settings.corrections)
            counted = (traffic.of(policy.policy_id), traffic.metadata) if traffic else None
            if follows:
                calibration, moves = _following(follows, calibration, evidence, tested, settings, counted)
            else:
                calibration = _with_traffic(calibration, tested, counted)
                calibration = moved(calibration, tested, settings, moves, counted, BY_SIGNERS)
            numbers = policy_numbers(calibration, tested, scale=scale, columns=columns, traffic=counted)
            calibration = described(calibration, tested, moves, numbers)
            against = None
            if production:
                against = policy_against(production, calibration, evidence, numbers.cuts, words, candidates)
            posts = self._examples(calibration, evidence, numbers, len(inputs.policies)) if self.examples else None
            found.append(
                ReportedPolicy(calibration, numbers, evidence.draw, agreements[policy.policy_id], against, posts)
            )
        outcome = outcome_of(inputs, found, self.budget, traffic)
        return replace(outcome, production=production.record(candidates) if production else None)

    def _examples(
        self, calibration: PolicyCalibration, evidence: Evidence, numbers: PolicyNumbers, n_policies: int
    ) -> ChosenExamples:
        return choose_examples(
            evidence.scores,
            evidence.labels,
            anchors_of(calibration, numbers.cuts),
            number=self.examples,
            most=most_of_policy(n_policies, self.examples),
            n_full=len(calibration.bands),
        )


def _with_traffic(calibration: PolicyCalibration, tested: Evidence, counted: Counted | None) -> PolicyCalibration:
    return with_traffic(calibration, tested.scores, tested.labels, tested.draw, *counted) if counted else calibration


def _following(
    reference: Outcome,
    calibration: PolicyCalibration,
    evidence: Evidence,
    tested: Evidence,
    settings: Settings,
    counted: Counted | None,
) -> tuple[PolicyCalibration, Moves]:
    """A policy whose bands go after those of `reference`, and where they went.

    What stricter bands leave to those by capacity must stand before these are set: so bands move twice.
    """
    first = _moves_after(reference, calibration, evidence)
    calibration = moved(calibration, tested, settings, first, None, FOLLOWING)
    calibration = _with_traffic(calibration, tested, counted)
    second = _moves_after(reference, calibration, evidence)
    return moved(calibration, tested, settings, second, counted, FOLLOWING), {**first, **second}


def _moves_after(reference: Outcome, calibration: PolicyCalibration, evidence: Evidence) -> Moves:
    column = reference.inputs.scores.policy_ids.index(calibration.policy.policy_id)
    served = reference.content.policies[column]
    return following_moves(served, reference.inputs.golden.scores[:, column], calibration, evidence.scores)
