"""Run by test_translated.py with SETPOINT_WORDS set: serves a page until its input ends; python … CALIBRATION."""

import sys
import threading
from pathlib import Path

from calibrate.review.desk import Desk
from calibrate.review.process import running


def main(calibration: Path) -> None:
    """Print the address, then wait."""
    root = calibration.parent
    desk = Desk(calibration, root / "signatures.jsonl", root / "signed", root / "choices")
    with running(desk, port=0, ended=threading.Event()) as url:
        print(url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
