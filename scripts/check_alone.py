"""Does predict.py in a bare environment, with its listed requirements alone, give a release's expected flags?

Run: python -m scripts.check_alone RELEASE ITEMS; ITEMS is the items file of the golden set. Makes a
virtual environment with `pip install -r RELEASE/requirements.txt` (needs a package index), with no PYTHONPATH, and
compares what predict.py says of the media of each replayed item with golden/. Exits 1 if a flag or logit differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np
import polars as pl

from data.items import read_items
from export.release.decisions import read_served_policies
from export.release.replay import read_exchange, read_replay

HIDDEN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


def bare_environment(folder: Path, requirements: Path) -> Path:
    """A virtual environment with these requirements and nothing else; returns its Python."""
    venv.create(folder, with_pip=True, clear=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
    subprocess.run([str(part) for part in install], check=True, env=_environment())
    return python


def differing_items(python: Path, release: Path, items_file: Path) -> list[str]:
    """What predict.py, run by `python`, says otherwise than golden/ expects; a sentence each."""
    record = read_replay(release / "golden")
    items = read_items(items_file)
    with tempfile.TemporaryDirectory() as name:
        lines = Path(name) / "items.jsonl"
        columns = ("item_id", "media_type", "caption", "ocr_text", "asr_text")
        with lines.open("w", encoding="utf-8") as file:
            for item_id in record.item_ids:
                row = items.row(by_predicate=pl.col("item_id") == item_id, named=True)
                media = [str(Path(medium).resolve()) for medium in row["media"]]
                file.write(json.dumps({**{column: row[column] for column in columns}, "media": media}) + "\n")
        # -B: a __pycache__ in the release would be a file that was not sealed.
        command = [str(python), "-I", "-B", str((release / "predict.py").resolve()), "--items", str(lines)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=name, env=_environment())
    if done.returncode:
        return [f"predict.py ended with code {done.returncode}: {done.stderr.strip()[-500:]}"]
    answers = [json.loads(line)["policies"] for line in done.stdout.splitlines()]
    served = read_served_policies(release / "policies.json")
    problems = []
    for place, (item_id, policies) in enumerate(zip(record.item_ids, answers, strict=True)):
        _, expected = read_exchange(release / "golden", place)
        logits = np.array([policy["logit"] for policy in policies])
        flags = [band["flagged"] for policy in policies for band in policy["bands"]]
        assert len(flags) == sum(len(policy.bands) for policy in served.policies)
        wanted = expected.flags[0, : len(flags)].tolist()  # predict.py shows the first pack
        if flags != wanted:
            problems.append(f"item {item_id!r}: flags {flags}, expected {wanted}")
        difference = float(np.abs(logits - expected.logits[0]).max())
        if not difference <= record.logit_tolerance:
            problems.append(f"item {item_id!r}: a logit differs by {difference:.3g}")
    return problems


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in HIDDEN}


def main() -> int:
    """Print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path)
    parser.add_argument("items", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        python = bare_environment(Path(name) / "venv", options.release / "requirements.txt")
        listed = subprocess.run(
            [str(python), "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
        )
        print("installed:", ", ".join(listed.stdout.split()))
        problems = differing_items(python, options.release, options.items)
    for problem in problems:
        print(problem)
    count = len(read_replay(options.release / "golden").item_ids)
    print(f"{'FAILED' if problems else 'passed'}: predict.py alone on the media of {count} golden items")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
