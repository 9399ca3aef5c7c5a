"""A band by capacity is sealed and verified like any other: a threshold, a volume, and no claim of precision."""

import numpy as np
import yaml
from changed_releases import verified
from sealing import signature

from data.files import read_json, write_json

VOLUME = {"expected": 30.0, "low": 22.0, "high": 39.5, "slices": []}


def test_a_release_with_a_band_by_capacity(parts) -> None:
    file = parts.root / "policies" / "scam.yaml"
    band = {"action": "restrict", "capacity_per_day": 40}
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "bands": [band]}))
    path = parts.root / "calibration" / "operating_points.json"
    content = read_json(path)
    content["traffic"] = {"digest": "7" * 64, "days": 7.0, "sampled_share": 0.5, "n_posts": 1000}
    content["policies"][1]["bands"][0].update(
        status="fits",
        kind="capacity",
        target=40.0,
        confidence=None,
        threshold=0.25,
        daily_volume=VOLUME,
        signatures=[signature("Ada Lovelace")],
    )
    write_json(path, content)
    release = parts.seal().written[0]
    assert verified(release).ok
    served = read_json(release / "policies.json")["policies"][1]["bands"][0]
    assert (served["threshold"], served["daily_volume"]) == (float(np.float32(0.25)), VOLUME)
    assert "| restrict | at most 40 a day |  | fits | 0.25 |" in (release / "MODEL_CARD.md").read_text()
