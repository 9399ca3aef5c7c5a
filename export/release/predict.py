"""What a release says about one photo, carousel or clip.

As a program: python predict.py [--caption TEXT] [--json] FILE [FILE …]
From Python:  import predict; predict.load(release_folder).predict(["clip.mp4"], caption="…")
(start Python with -B: a __pycache__ in the release is a file that was not sealed, and `setpoint verify` says so)

In a release this file stands on numpy, onnxruntime, pillow, av and tokenizers alone: sealing puts the modules that it
imports from Setpoint into it, so that pixels and tokens are those that the thresholds were certified on.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.media import MediaError
from export.release.predictor import PolicyPrediction, Predictor, ReleaseError, load

WRONG_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 where something could not be read."""
    options = _parse(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        predictor = load(options.release, precision=options.precision, pack=options.pack)
        if options.items:
            return _predict_items(predictor, Path(options.items))
        predictions = predictor.predict(
            options.files,
            caption=options.caption,
            ocr_text=options.ocr_text,
            asr_text=options.asr_text,
            media_type=options.media_type,
        )
    except MediaError as error:
        where = options.files[0] if len(options.files) == 1 else f"{len(options.files)} files"
        return _refuse(f"{where}: {error}")
    except ReleaseError as error:
        return _refuse(str(error))
    if options.json:
        print(json.dumps([asdict(prediction) for prediction in predictions], indent=2))
    else:
        print("\n".join(_table(predictions)))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a Setpoint release says about a photo, carousel or clip.")
    parser.add_argument("files", nargs="*", metavar="FILE", help="one clip, or one or more photos of one post")
    parser.add_argument("--release", default=Path(__file__).resolve().parent, help="folder; default: this file's")
    parser.add_argument("--precision", default="fp32", help="fp32, or another that the release holds")
    parser.add_argument("--pack", help="whose thresholds, of a release with several (default: the first)")
    parser.add_argument("--caption", help="caption of the post")
    parser.add_argument("--ocr-text", help="text seen in it")
    parser.add_argument("--asr-text", help="speech heard in it")
    parser.add_argument("--media-type", choices=("photo", "video"), help="default: by the ending of the name")
    parser.add_argument("--items", metavar="FILE.jsonl", help="many posts, one JSON object a line; prints JSON lines")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    has_text = options.caption or options.ocr_text or options.asr_text
    if options.items and (options.files or has_text):
        parser.error("--items stands alone: files and texts are in its lines")
    if not (options.items or options.files or has_text):
        parser.error("nothing to look at: give a FILE, a --caption or --items")
    return options


def _predict_items(predictor: Predictor, path: Path) -> int:
    unread = asked = 0
    try:
        for number, item in _items(path):
            asked += 1
            media = [name if "://" in name else str(path.parent / name) for name in item.get("media") or []]
            texts = {name: item.get(name) for name in ("caption", "ocr_text", "asr_text")}
            answer: dict[str, Any] = {"item_id": item.get("item_id", number)}
            try:
                predictions = predictor.predict(media, media_type=item.get("media_type"), **texts)
                answer["policies"] = [asdict(prediction) for prediction in predictions]
            except MediaError as error:
                unread += 1
                answer["error"] = str(error)
            print(json.dumps(answer))
    except (OSError, ValueError) as error:
        return _refuse(f"{path}: {getattr(error, 'strerror', None) or error}")
    if not asked:
        return _refuse(f"{path}: holds no item; expected one JSON object a line, with media or a text")
    return _refuse(f"{unread} items could not be read; their lines hold the error") if unread else 0


def _items(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    texts = ("media_type", "caption", "ocr_text", "asr_text")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {number}: not a JSON object ({error})") from error
            if not isinstance(item, dict):
                raise ValueError(f"line {number}: not a JSON object")
            media = item.get("media")
            if media is not None and not (isinstance(media, list) and all(isinstance(name, str) for name in media)):
                raise ValueError(f"line {number}, media: expected a list of paths")
            for name in texts:
                if item.get(name) is not None and not isinstance(item[name], str):
                    raise ValueError(f"line {number}, {name}: expected a text")
            yield number, item


def _table(predictions: Sequence[PolicyPrediction]) -> Iterator[str]:
    rows = [("policy", "probability", "logit", "action")]
    for prediction in predictions:
        name = f"{prediction.policy_id} {prediction.version}"
        rows.append((name, f"{prediction.probability:.4f}", f"{prediction.logit:.3f}", prediction.action or "none"))
        for band in prediction.bands:
            title = f"{band.action} ({band.queue})" if band.queue else band.action
            status = f"from {band.threshold:.3f}" if band.threshold is not None else band.status.replace("_", " ")
            if band.status == "waived":
                status += ", no promise"
            rows.append((f"  {title}", "", status, "flagged" if band.flagged else "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield "  ".join(
            cell.ljust(width) if column in (0, 3) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)
    return WRONG_INPUT


if __name__ == "__main__":
    sys.exit(main())
