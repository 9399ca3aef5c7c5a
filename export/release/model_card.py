"""MODEL_CARD.md of a release, in the form of Hugging Face: what it decides, how that is known, what it rests on."""

from collections.abc import Callable, Mapping
from typing import Any

import yaml

from calibrate.gate_file import GateFile
from calibrate.report.shown import percent, recall_seen
from data.policy import Policy
from export.model_folder import ModelFolder
from export.release.approval import approval_section, approval_sentence
from export.release.decisions import ServedBand, ServedPack, ServedPolicies, ServedPolicy
from export.release.tensors import inputs_and_outputs

LOCAL = ("package:", "folder:")
TAGS = ("content-moderation", "multi-label-classification", "calibrated-thresholds")
USERS = ("teams that enforce the policies named below", "reviewers of what it flags")
INTENDED_USE = (
    "To flag posts under the policies and versions named, at the thresholds of policies.json, in traffic like that "
    "of the golden set."
)
NOT_INTENDED = (
    "Other policies or later versions of these, traffic of another kind, judgements about persons, and decisions at "
    "thresholds that were not certified."
)
LIMITS = (
    "Certificates speak of the golden set's population; other traffic, and the same once it has changed, may have "
    "another precision.",
    "Thresholds hold for raw logits of this ONNX file, with pixels and tokens made as preprocess.json says.",
    "Labels are people's judgements; the certificates take them as true.",
)
ETHICS = (
    ("Wrongly flagged posts hurt those who wrote them", "bands state a precision with a confidence; offer an appeal"),
    ("Errors may fall on some markets or languages more than on others", "declare slices; read them above"),
    ("A slice with few labels may hide harm", "it is listed as insufficient, with the labels that it lacks"),
)


def model_card(
    served: ServedPolicies,
    policies: list[Policy],
    model: ModelFolder,
    license: str | None = None,
    gates: Mapping[str | None, GateFile] | None = None,
) -> str:
    """The card's text.

    Args:
        served: policies.json of the release.
        policies: the policy files, in the same order.
        model: the exported model.
        license: of the release; None where nobody said.
        gates: what came of comparing precisions, by pack.
    """
    return (
        "\n\n".join(
            [
                _front_matter(served, model, license),
                "# Content policy classifier",
                f"Scores photos, carousels and clips with their texts for {len(policies)} content policies, and "
                f"flags them where a threshold is certified. Model digest `{served.model_digest}`.",
                f"## Intended use\n\n{INTENDED_USE} For {' and '.join(USERS)}.\n\nNot for: {NOT_INTENDED}",
                "## Decisions\n\n" + _of_each_pack(served, _bands_table),
                "A band without a threshold never flags. *Precision* and *recall* are those measured on the golden "
                "set; what is certified is the target, at the confidence beside it, under the assumptions in "
                "`reports/decisions/operating_points.json`. A target of posts a day speaks of their number, not of "
                "precision. " + approval_sentence(served),
                *approval_section(served),
                "## Slices\n\n" + _of_each_pack(served, _slices),
                "## Evidence\n\n" + _of_each_pack(served, _evidence),
                *(["## Precisions\n\n" + _precisions(gates)] if gates else []),
                "## Policies\n\n" + "\n\n".join(_policy(policy) for policy in policies),
                "## Input and output\n\n" + inputs_and_outputs(served, model),
                "## What it was made from\n\n" + _origin(model),
                "## Limits\n\n" + _limits(served),
                "## Ethical considerations\n\n" + "\n".join(f"- {risk}: {remedy}." for risk, remedy in ETHICS),
            ]
        )
        + "\n"
    )


def _of_each_pack(served: ServedPolicies, told: Callable[[ServedPack], str]) -> str:
    if served.pack is None:
        return told(served.all_packs()[0])
    return "\n\n".join(f"### Pack {pack.name}\n\n{told(pack)}" for pack in served.all_packs())


def _bands_table(pack: ServedPack) -> str:
    lines = [
        "| policy | version | band | target | confidence | status | threshold | precision | recall |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_band_row(policy, band) for policy in pack.policies for band in policy.bands]
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


def _evidence(pack: ServedPack) -> str:
    golden, scores = pack.golden_set, pack.scores
    lines = [
        f"- Golden set: {golden.name} {golden.version}, {golden.n_items:,} items, {golden.design.replace('_', ' ')} "
        f"sample of: {_line(golden.population)}. Digest `{golden.digest}`.",
        f"- Window: {golden.window or 'not stated'}. Floor: {'none' if golden.floor is None else golden.floor}. "
        f"Expires: {golden.expires_at or 'not stated'}.",
        f"- Near-duplicates among its items: {golden.n_sharing_cluster:,} (the guarantees assume independent draws).",
        f"- Scores: {scores.runtime}, digest `{scores.digest}`.",
    ]
    for policy in pack.policies:
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


def _precisions(gates: Mapping[str | None, GateFile]) -> str:
    lines = [
        "Each is a model of its own, certified on its own scores (`reports/precisions/`), and held against fp32 on "
        "the golden set, each by its own thresholds. What was refused is not in this release.",
        "",
        "| precision | verdict | decisions that flip | largest difference of a logit | of a probability |",
        "|---|---|---|---|---|",
    ]
    for pack, gate in gates.items():
        for each in gate.precisions:
            name = each.name if pack is None else f"{each.name}, pack {pack}"
            logit = max(policy.max_score_difference for policy in each.policies)
            probability = max(policy.max_probability_difference for policy in each.policies)
            verdict = "passed" if each.passed else _cell(f"refused: {'; '.join(each.reasons)}")
            lines.append(f"| {name} | {verdict} | {each.share:.2%} | {logit:.2g} | {probability:.2g} |")
    return "\n".join(lines)


def _policy(policy: Policy) -> str:
    rules = [f"- {rule.code}, violates: {_line(rule.text)}" for rule in policy.violates]
    rules += [f"- {rule.code}, allowed: {_line(rule.text)}" for rule in policy.allows]
    head = f"### {_line(policy.name)} (`{policy.policy_id}` {policy.version})"
    return f"{head}\n\n{_line(policy.definition)} Judged by: {', '.join(policy.evidence)}.\n\n" + "\n".join(rules)


def _origin(model: ModelFolder) -> str:
    encoders = []
    for name, encoder in sorted(model.record.encoders.items()):
        file = f"licenses/{name}.txt"
        text = f"see [{file}]({file})" if (model.folder / file).is_file() else None
        where = "; ".join(filter(None, [_line(encoder.license_stated_in or ""), text]))
        encoders.append(
            f"- {name} encoder: {_line(encoder.source)}, digest `{encoder.digest}`. Licence: {_line(encoder.license)}"
            + (f" ({where})." if where else ".")
        )
    return "\n".join([*encoders, f"- Checkpoint: digest `{model.record.checkpoint_digest}`."])


def _limits(served: ServedPolicies) -> str:
    population = f"The golden set's population: {_line(served.golden_set.population)}."
    return "\n".join(f"- {limit}" for limit in (population, *LIMITS))


def _titled(pack: ServedPack, policy: ServedPolicy, band: ServedBand) -> str:
    return ", ".join([f"{policy.policy_id} {policy.version}", band.action, *([pack.name] if pack.name else [])])


def _front_matter(served: ServedPolicies, model: ModelFolder, license: str | None) -> str:
    """The YAML that Hugging Face reads: licence, encoders of the hub, and what the golden set measured."""
    hub = [each.source for _, each in sorted(model.record.encoders.items()) if not each.source.startswith(LOCAL)]
    results = [
        {
            "task": {"type": "content-moderation", "name": _titled(pack, policy, band)},
            "dataset": {"type": "golden-set", "name": f"{pack.golden_set.name} {pack.golden_set.version}"},
            "metrics": [
                {"type": name, "value": value}
                for name, value in (("precision", band.precision), ("recall", band.recall))
                if value is not None
            ],
        }
        for pack, policy, band in served.all_bands()
        if band.precision is not None or band.recall is not None
    ]
    content: dict[str, Any] = {"license": license.lower() if license else "unknown", "library_name": "onnx"}
    content |= {"tags": list(TAGS)} | ({"base_model": hub} if hub else {})
    if results:
        content["model-index"] = [{"name": f"setpoint-{served.model_digest[:12]}", "results": results}]
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}---"


def _slices(pack: ServedPack) -> str:
    rows = [
        f"| {policy.policy_id} | {band.action} | {_cell(part.by)} = {_cell(part.value)} | "
        f"{part.status.replace('_', ' ')} | {'' if part.precision is None else percent(part.precision)} | "
        f"{part.n_flagged_labelled:,} | {'' if part.more_labels is None else f'{part.more_labels:,}'} |"
        for policy in pack.policies
        for band in policy.bands
        for part in band.slices
    ]
    if not rows:
        return "None were declared: how precision differs between groups is not known."
    head = [
        "| policy | band | slice | status | precision | flagged labels | lacks |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows])


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str | None) -> str:
    return _line(text).replace("|", "\\|")
