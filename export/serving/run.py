"""The verb `serve`: a verified release behind the Open Inference Protocol, until it is asked to stop."""

import signal
import threading
from pathlib import Path
from typing import Annotated

from pydantic import Field

from data.errors import InputError
from data.summary import Summary
from export.release.verify import verify
from export.serving.counts import Counts
from export.serving.model import Limits, load_model


def serve(
    *,
    release: Path,
    trust: Path | None = None,
    precision: str = "fp32",
    name: str = "setpoint",
    host: str = "127.0.0.1",
    port: Annotated[int, Field(ge=0, le=65535)] = 8000,
    threads: Annotated[int, Field(ge=0)] = 0,
    max_batch: Annotated[int, Field(ge=1, le=1024)] = 8,
    max_delay_ms: Annotated[float, Field(ge=0, le=10_000)] = 2.0,
    max_in_flight: Annotated[int, Field(ge=1)] = 256,
    max_request_mb: Annotated[float, Field(gt=0, le=1024)] = 64.0,
    drain_seconds: Annotated[int, Field(ge=0)] = 30,
) -> Summary:
    """Serve one release over HTTP until SIGTERM or SIGINT.

    Args:
        release: folder of the release; one that `verify` fails is not served.
        trust: public key, or folder of keys, that must have signed it; None serves unsigned releases too.
        precision: which of its ONNX files.
        name: of the model, in the paths.
        host: address to listen on.
        port: to listen on; 0 takes a free one.
        threads: of one operator of the model; 0 leaves the choice to ONNX Runtime.
        max_batch: items that run together, and items of one request, at most.
        max_delay_ms: that a request waits for others at most while the model is idle.
        max_in_flight: requests that are received, wait or run at once; more are turned away.
        max_request_mb: size of a request at most.
        drain_seconds: that requests may take to be answered once the server is asked to stop.

    Raises:
        InputError: the release is not one to serve, the address is taken, or the extra `serve` is not installed.
    """
    try:
        from export.serving.process import running  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise InputError(f"setpoint serve needs {error.name}; run: pip install 'setpoint[serve]'") from error

    verified = verify(release=release, trust=trust, tensorrt=False)
    if not verified.ok:
        raise InputError("\n".join([verified.title, *verified.lines]))
    model = load_model(release, precision=precision, name=name, threads=threads)
    limits = Limits(
        max_batch=max_batch,
        max_delay=max_delay_ms / 1000,
        max_in_flight=max_in_flight,
        max_body=int(max_request_mb * 1e6),
        drain_seconds=drain_seconds,
    )
    stop = threading.Event()
    handlers = {each: signal.signal(each, lambda *_: stop.set()) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        with running(model, limits, host=host, port=port, ended=stop) as url:
            print(f"release {model.version}, {precision}, answers at {url}/v2/models/{name}", flush=True)
            stop.wait()
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
    return Summary(f"serve: stopped; {_answered(model.counts)}")


def _answered(counts: Counts) -> str:
    by_code = {dict(labels)["code"]: int(count) for labels, count in counts.requests.counts.items()}
    answered = by_code.pop("200", 0)
    others = ", ".join(f"{count:,} with status {code}" for code, count in sorted(by_code.items()))
    return f"{answered:,} requests answered" + (f", {others}" if others else "")
