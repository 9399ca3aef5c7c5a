"""What a release says of itself: bill of materials by CycloneDX's schema, model card, licences of its encoders."""

import json
import math
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from data.files import read_json, write_json
from data.text import compose_text
from export.graph.decision_head import load_onnx, read_decision

ENCODER = {
    "source": "google/siglip2",
    "digest": "a" * 64,
    "license": "apache-2.0",
    "license_stated_in": "its README.md",
}
UNKNOWN = {"source": "folder:own", "digest": "b" * 64, "license": "unknown", "license_stated_in": None}
SLICE = {
    "by": "market",
    "value": "D|E",
    "status": "insufficient",
    "target": 0.9,
    "n_labelled": 30,
    "n_flagged_labelled": 4,
    "precision": 0.75,
    "more_labels": 25,
    "threshold": None,
}


@pytest.fixture
def described(parts) -> Path:
    """A release with encoders, licences, slices and measured figures."""
    model = read_json(parts.root / "model/model.json")
    model["encoders"] = {"image": ENCODER, "text": UNKNOWN}
    model["data_digests"] = {"train/items": "c" * 64, "note": {"no": "digest"}}
    write_json(parts.root / "model/model.json", model)
    (parts.root / "model/licenses").mkdir()
    (parts.root / "model/licenses/image.txt").write_text("Apache License")
    points = read_json(parts.root / "calibration/operating_points.json")
    points["policies"][0]["bands"][0] |= {"precision": 0.95, "precision_lower_bound": 0.91, "slices": [SLICE]}
    points["policies"][0]["bands"][1] |= {"recall": 0.8, "recall_interval": [0.7, 0.9]}
    write_json(parts.root / "calibration/operating_points.json", points)
    folder: Path = parts.seal(license="Apache-2.0").written[0]
    return folder


def test_the_bill_of_materials_keeps_the_schema_of_cyclonedx(described: Path, release: Path) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for folder in (described, release):
        assert validator.validate_str((folder / "sbom.cdx.json").read_text()) is None
    wrong = read_json(described / "sbom.cdx.json")
    wrong["components"][0]["type"] = "encoder"
    assert validator.validate_str(json.dumps(wrong)) is not None


def test_the_bill_of_materials_names_encoders_data_licences_and_metrics(described: Path) -> None:
    bom = read_json(described / "sbom.cdx.json")
    components = {component["bom-ref"]: component for component in bom["components"]}
    assert components["encoder:image"]["licenses"] == [{"license": {"name": "apache-2.0"}}]
    assert components["encoder:text"]["licenses"] == []
    assert components["data:train/items"]["hashes"][0]["content"] == "c" * 64
    assert "data:golden set mini 1" in components
    assert "data:note" not in components
    model = bom["metadata"]["component"]
    assert model["licenses"] == [{"license": {"name": "Apache-2.0"}}]
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert [(each["type"], each["value"], each["slice"]) for each in metrics] == [
        ("precision", "0.95", "fire 1.0.0, auto_remove"),
        ("precision", "0.75", "fire 1.0.0, auto_remove, market=D|E"),
        ("recall", "0.8", "fire 1.0.0, review"),
    ]
    assert metrics[0]["confidenceInterval"] == {"lowerBound": "0.91", "upperBound": "1"}


def test_the_card_states_licences_metrics_and_thin_slices(described: Path, release: Path) -> None:
    card = (described / "MODEL_CARD.md").read_text()
    front_matter = yaml.safe_load(card.split("---")[1])
    assert front_matter["license"] == "apache-2.0"
    assert front_matter["base_model"] == ["google/siglip2"]
    results = front_matter["model-index"][0]["results"]
    assert [each["metrics"] for each in results] == [
        [{"type": "precision", "value": 0.95}],
        [{"type": "recall", "value": 0.8}],
    ]
    assert "| fire | auto_remove | market = D\\|E | insufficient | 75 % | 4 | 25 |" in card
    assert "Licence: apache-2.0 (its README.md; see [licenses/image.txt](licenses/image.txt))." in card
    assert "Licence: unknown." in card
    for heading in ("Intended use", "Limits", "Ethical considerations", "Evidence", "What it was made from"):
        assert f"\n## {heading}\n" in card
    plain = (release / "MODEL_CARD.md").read_text()
    assert yaml.safe_load(plain.split("---")[1])["license"] == "unknown"
    assert "how precision differs between groups is not known" in plain


def test_the_card_says_how_texts_are_joined_and_whose_each_column_is(release: Path) -> None:
    """Held against the code that joins them, which predict.py carries, and against the graph's own decisions."""
    card = (release / "MODEL_CARD.md").read_text()
    example = re.search(r"### Texts\n.*?\n((?:    [^\n]*\n)+)", card, flags=re.DOTALL)
    assert example is not None
    said = textwrap.dedent(example[1]).strip()
    for texts in (("a caption", "seen", "heard"), (" spaced ", None, "heard"), (None, "  ", None), ("x", "y", None)):
        lines = said.splitlines()
        expected = [
            line.replace(name, text.strip())
            for line, name, text in zip(lines, ("CAPTION", "OCR_TEXT", "ASR_TEXT"), texts, strict=True)
            if text and text.strip()
        ]
        assert compose_text(*texts) == "\n".join(expected)

    [policies] = re.findall(r"Of `logits` and `probabilities`: (.*?)\.", card)
    columns = {name: int(column) for column, name in (each.split() for each in policies.split(", "))}
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (\w+) \| (.*) \|$", card, flags=re.MULTILINE)
    assert rows == [
        ("0", "fire", "auto_remove", ""),
        ("1", "fire", "review", "night\\|shift"),
        ("2", "scam", "restrict", ""),
    ]
    served = {each["policy_id"]: each for each in read_json(release / "policies.json")["policies"]}
    logits = np.random.default_rng(0).normal(0, 3, (200, 2)).astype(np.float32)
    _, flags = read_decision(load_onnx(release / "onnx/fp32/model.onnx")).apply(logits)
    for column, policy_id, action, _ in rows:
        [band] = [each for each in served[policy_id]["bands"] if each["action"] == action]
        threshold = np.float32(math.inf if band["threshold"] is None else band["threshold"])
        assert (flags[:, int(column)] == (logits[:, columns[policy_id]] >= threshold)).all()


def test_licence_texts_are_carried_along(described: Path, release: Path) -> None:
    assert (described / "licenses/image.txt").read_text() == "Apache License"
    assert "licenses/image.txt" in [entry["path"] for entry in read_json(described / "manifest.json")["files"]]
    assert not (release / "licenses").exists()
