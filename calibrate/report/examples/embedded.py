"""The example posts as they stand in the page."""

from collections.abc import Mapping

from calibrate.inputs import CalibrationInputs
from calibrate.report.examples.choose import ChosenExamples
from calibrate.report.examples.describe import describe_examples
from calibrate.report.examples.pictures import Pictures, add_pictures
from calibrate.report.text import all_shown


def embedded_examples(
    inputs: CalibrationInputs, chosen: Mapping[str, ChosenExamples], pictures: Pictures | None
) -> dict[str, dict[str, object]]:
    """What the page holds of each policy's example posts, as JSON values.

    Args:
        inputs: of the calibration.
        chosen: by policy_id.
        pictures: makes them; None leaves all out.
    """
    described = describe_examples(inputs, chosen)
    policies = [policy for policy in inputs.policies if policy.policy_id in chosen]
    if pictures is None:
        held: dict[str, list[str]] = {name: [] for name in described}
        facts = {name: each for name, (each, _) in described.items()}
    else:
        together = add_pictures(policies, chosen, described, pictures)
        facts = {name: each for name, (each, _) in together.items()}
        held = {name: each for name, (_, each) in together.items()}
    return {
        name: {"facts": all_shown(each.model_dump(mode="json")), "pictures": held[name]}
        for name, each in facts.items()
    }
