"""What goes into the served graph and comes out of it, for whoever calls it without predict.py.

Said from the code that does it: the text is what `data.text` composes, the columns are those of policies.json.
"""

from data.text import compose_text
from export.model_folder import TOKENIZER_FILE, ModelFolder
from export.release.decisions import ServedPolicies


def inputs_and_outputs(served: ServedPolicies, model: ModelFolder) -> str:
    """A part of the model card: tensors, how texts are joined, and which column is whose."""
    return "\n\n".join([_tensors(model), "### Texts\n\n" + _texts(model), "### Columns\n\n" + _columns(served)])


def _tensors(model: ModelFolder) -> str:
    lines = ["| tensor | type | shape | meaning |", "|---|---|---|---|"]
    for tensor in [*model.contract.inputs, *model.contract.outputs]:
        axes = [name if size == -1 else str(size) for name, size in zip(tensor.axes, tensor.shape, strict=True)]
        lines.append(f"| {tensor.name} | {tensor.datatype} | {' x '.join(axes)} | {_cell(tensor.meaning)} |")
    return "\n".join(lines) + "\n\n`predict.py` goes from files to these tensors and back, without further code."


def _texts(model: ModelFolder) -> str:
    composed = compose_text("CAPTION", "OCR_TEXT", "ASR_TEXT").replace("\n", "\n    ")
    return (
        "Caption, text seen in the media (`ocr_text`) and text heard (`asr_text`) become one text, a line each, in "
        f"this order and with these marks:\n\n    {composed}\n\nWhite space at both ends of each goes; one that is "
        "missing or blank has no line. An item without any has no token. The text is cut at its end to "
        f"{model.preprocessing.max_tokens} tokens of `{TOKENIZER_FILE}`, its special ones among them."
    )


def _columns(served: ServedPolicies) -> str:
    policies = ", ".join(f"{policy.output_index} {policy.policy_id}" for policy in served.policies)
    packed = served.pack is not None
    lines = [
        f"Of `logits` and `probabilities`: {policies}. Of `flags`, as `index` in `policies.json`:",
        "",
        f"| column | policy | band | queue |{' pack |' if packed else ''}",
        f"|---|---|---|---|{'---|' if packed else ''}",
    ]
    for pack, policy, band in served.all_bands():
        name = f" {pack.name} |" if packed else ""
        lines.append(f"| {band.index} | {policy.policy_id} | {band.action} | {_cell(band.queue or '')} |{name}")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
