"""The verb `review`: the page of a calibration, served on this machine, until it is asked to stop."""

import signal
import threading
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field

from calibrate.review.desk import PAGE, Desk
from calibrate.signing.folder import check_out
from calibrate.signing.made_from import read_made_from
from calibrate.signing.recertified import read_points
from data.errors import InputError
from data.files import existing_file
from data.summary import Summary


def review(
    *,
    calibration: Path,
    signatures: Path,
    out: Path,
    choices: Path,
    port: Annotated[int, Field(ge=0, le=65535)] = 0,
    today: date | None = None,
) -> Summary:
    """Serve the page to one browser of this machine, to save choices and to sign, until SIGTERM or SIGINT.

    Args:
        calibration: folder that `calibrate` wrote; what it was made from must still be there, unchanged.
        signatures: record of all signatures, to which the page adds lines.
        out: folder that signing writes, for `seal`. Replaced whole.
        choices: folder of saved choices, each a file of its own.
        port: of 127.0.0.1; 0 takes a free one.
        today: a golden set that expired before this date is not signed for; None is the current date.

    Raises:
        InputError: the calibration cannot be signed or has no page of its own, the port is taken, or the extra
            `serve` is not installed.
    """
    try:
        from calibrate.review.process import running  # noqa: PLC0415  (of an extra)
    except ModuleNotFoundError as error:
        raise InputError(
            f"setpoint review needs {(error.name or '').partition('.')[0]}; run: pip install 'setpoint[serve]'"
        ) from error

    check_out(out, calibration)
    _, digest = read_points(calibration)
    read_made_from(calibration)
    desk = Desk(calibration, signatures, out, choices, today)
    page = existing_file(desk.report / PAGE)
    if f'"{digest}"'.encode() not in page.read_bytes():
        raise InputError(f"{page}: is of other thresholds than operating_points.json beside it; calibrate again")
    stop = threading.Event()
    handlers = {each: signal.signal(each, lambda *_: stop.set()) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        with running(desk, port=port, ended=stop) as url:
            print(f"open {url} in a browser of this machine; the address opens once, Ctrl-C ends", flush=True)
            stop.wait()
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
    written = [path for path in (out, choices) if path.is_dir()]
    return Summary("review: stopped", written)
