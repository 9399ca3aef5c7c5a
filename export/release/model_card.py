"""MODEL_CARD.md of a release, in the form of Hugging Face: what it decides, how that is known, what it rests on."""

from calibrate.report.shown import percent, recall_seen
from data.policy import Policy
from export.model_folder import ModelFolder
from export.release.decisions import ServedBand, ServedPolicies, ServedPolicy

HEADER = """---
library_name: onnx
tags:
- content-moderation
- multi-label-classification
- calibrated-thresholds
---
"""


def model_card(served: ServedPolicies, policies: list[Policy], model: ModelFolder) -> str:
    """The card's text.

    Args:
        served: policies.json of the release.
        policies: the policy files, in the same order.
        model: the exported model.
    """
    return (
        "\n\n".join(
            [
                HEADER.rstrip(),
                "# Content policy classifier",
                f"Scores photos, carousels and clips with their texts for {len(policies)} content policies, and "
                f"flags them where a threshold is certified. Model digest `{served.model_digest}`.",
                "## Decisions\n\n" + _bands_table(served),
                "A band that is not certified never flags. *Precision* and *recall* are those measured on the golden "
                "set; what is certified is the target, at the confidence beside it, under the assumptions in "
                "`reports/decisions/operating_points.json`. A target of posts a day speaks of their number, not of "
                "precision. No one has signed these operating points.",
                "## Evidence\n\n" + _evidence(served),
                "## Policies\n\n" + "\n\n".join(_policy(policy) for policy in policies),
                "## Input and output\n\n" + _tensors(model),
                "## What it was made from\n\n" + _origin(model),
                "## Limits\n\n" + _limits(served),
            ]
        )
        + "\n"
    )


def _bands_table(served: ServedPolicies) -> str:
    lines = [
        "| policy | version | band | target | confidence | status | threshold | precision | recall |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_band_row(policy, band) for policy in served.policies for band in policy.bands]
    return "\n".join(lines)


def _band_row(policy: ServedPolicy, band: ServedBand) -> str:
    title = f"{band.action} ({_cell(band.queue)})" if band.queue else band.action
    target = f"at most {band.target:,.0f} a day" if band.kind == "capacity" else f"{band.kind} {percent(band.target)}"
    cells = [
        policy.policy_id,
        policy.version,
        title,
        target,
        "" if band.confidence is None else percent(band.confidence),
        band.status.replace("_", " "),
        "never" if band.threshold is None else f"{band.threshold:.4g}",
        "" if band.precision is None else percent(band.precision),
        "" if band.recall is None else recall_seen(band),
    ]
    return f"| {' | '.join(cells)} |"


def _evidence(served: ServedPolicies) -> str:
    golden, scores = served.golden_set, served.scores
    lines = [
        f"- Golden set: {golden.name} {golden.version}, {golden.n_items:,} items, {golden.design.replace('_', ' ')} "
        f"sample of: {_line(golden.population)}. Digest `{golden.digest}`.",
        f"- Window: {golden.window or 'not stated'}. Floor: {'none' if golden.floor is None else golden.floor}. "
        f"Expires: {golden.expires_at or 'not stated'}.",
        f"- Near-duplicates among its items: {golden.n_sharing_cluster:,} (the guarantees assume independent draws).",
        f"- Scores: {scores.runtime}, digest `{scores.digest}`.",
    ]
    for policy in served.policies:
        calibrator = policy.calibrator
        error = calibrator.expected_calibration_error
        lines.append(
            f"- Probabilities of {policy.policy_id}: "
            + (
                f"not fitted ({_line(calibrator.reason)})"
                if calibrator.reason
                else f"{calibrator.n_labelled:,} labels"
            )
            + ("." if error is None else f", expected calibration error {error:.3f} on the golden set.")
        )
    return "\n".join(lines)


def _policy(policy: Policy) -> str:
    rules = [f"- {rule.code}, violates: {_line(rule.text)}" for rule in policy.violates]
    rules += [f"- {rule.code}, allowed: {_line(rule.text)}" for rule in policy.allows]
    head = f"### {_line(policy.name)} (`{policy.policy_id}` {policy.version})"
    return f"{head}\n\n{_line(policy.definition)} Judged by: {', '.join(policy.evidence)}.\n\n" + "\n".join(rules)


def _tensors(model: ModelFolder) -> str:
    lines = ["| tensor | type | shape | meaning |", "|---|---|---|---|"]
    for tensor in [*model.contract.inputs, *model.contract.outputs]:
        axes = [name if size == -1 else str(size) for name, size in zip(tensor.axes, tensor.shape, strict=True)]
        lines.append(f"| {tensor.name} | {tensor.datatype} | {' x '.join(axes)} | {_cell(tensor.meaning)} |")
    return "\n".join(lines) + "\n\n`predict.py` goes from files to these tensors and back, without further code."


def _origin(model: ModelFolder) -> str:
    encoders = [
        f"- {name} encoder: {_line(encoder.source)}, digest `{encoder.digest}`."
        for name, encoder in sorted(model.record.encoders.items())
    ]
    return "\n".join([*encoders, f"- Checkpoint: digest `{model.record.checkpoint_digest}`."])


def _limits(served: ServedPolicies) -> str:
    return "\n".join(
        [
            f"- The certificates speak of the population of the golden set ({_line(served.golden_set.population)}). "
            "Other traffic, and the same traffic once it has changed, may have another precision.",
            "- Thresholds hold for raw logits of this ONNX file in fp32, with pixels and tokens made as "
            "`preprocess.json` says.",
            "- Labels are people's judgements; the certificates take them as true.",
        ]
    )


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str | None) -> str:
    return _line(text).replace("|", "\\|")
