"""The HTTP side of a served release: Open Inference Protocol v2 and /metrics, as a Starlette application."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from export.graph.contract import Contract
from export.graph.decision_head import FLAGS, LOGITS
from export.serving.batching import Tensors
from export.serving.checks import check_inputs
from export.serving.counts import Counts
from export.serving.protocol import HEADER_LENGTH, Array, RequestError, decode_request, encode_answer

logger = logging.getLogger(__name__)


class Queue(Protocol):
    """Where requests wait for the model: `export.serving.batching.Batcher`."""

    def submit(self, tensors: Mapping[str, Array], num_items: int) -> "asyncio.Future[Tensors]":
        """Queue one request."""
        ...


@dataclass(eq=False)
class Service:
    """What the application answers with.

    Attributes:
        name: of the model, in the paths.
        version: the release's id; every answer carries it.
        contract: inputs and outputs.
        limits: largest size of each free axis of the inputs.
        queue: runs requests.
        counts: the metrics.
        max_body: bytes of a request.
        max_in_flight: requests that are received, wait or run at once; more are turned away.
        body_seconds: within which a body has to arrive.
        draining: not ready any more; the process ends when its requests are answered.
    """

    name: str
    version: str
    contract: Contract
    limits: Mapping[str, int]
    queue: Queue
    counts: Counts
    max_body: int
    max_in_flight: int
    body_seconds: float = 60.0
    draining: bool = False


def application(service: Service) -> Starlette:
    """The routes of one served model."""
    model, version = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
    app = Starlette(
        routes=[
            *(Route(f"{path}/infer", infer, methods=["POST"]) for path in (model, version)),
            *(Route(f"{path}/ready", model_ready) for path in (model, version)),
            *(Route(path, model_metadata) for path in (model, version)),
            Route("/v2", server_metadata),
            Route("/v2/health/live", live),
            Route("/v2/health/ready", ready),
            Route("/metrics", metrics),
        ],
        exception_handlers={RequestError: _refused, HTTPException: _refused, Exception: _bug},
    )
    app.state.service = service
    return app


async def server_metadata(request: Request) -> Response:
    """Name, version and extensions of the server."""
    version = _service(request).version
    return JSONResponse({"name": "setpoint", "version": version, "extensions": ["binary_tensor_data"]})


async def live(_request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"live": True})


async def ready(request: Request) -> Response:
    """Whether the server takes requests."""
    is_ready = not _service(request).draining
    return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)


async def model_ready(request: Request) -> Response:
    """Whether the model takes requests."""
    service = _model(request)
    return JSONResponse({"name": service.name, "ready": not service.draining}, 503 if service.draining else 200)


async def model_metadata(request: Request) -> Response:
    """The tensors of the contract."""
    service = _model(request)
    described: dict[str, Any] = {"name": service.name, "versions": [service.version]}
    described["platform"] = service.contract.platform
    for kind, tensors in (("inputs", service.contract.inputs), ("outputs", service.contract.outputs)):
        described[kind] = [
            {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape} for tensor in tensors
        ]
    return JSONResponse(described)


async def metrics(request: Request) -> Response:
    """All counts, for Prometheus."""
    return PlainTextResponse(_service(request).counts.text(), media_type="text/plain; version=0.0.4")


async def infer(request: Request) -> Response:
    """Answer one request, and count it."""
    service = _service(request)
    counts = service.counts
    began = time.monotonic()
    counts.in_flight.value += 1
    status = 500
    try:
        _model(request)
        if counts.in_flight.value > service.max_in_flight:
            raise RequestError(f"{service.max_in_flight} requests are waiting already; try again later", status=503)
        response = await _answer(service, request)
        status = response.status_code
    except RequestError as error:
        status = error.status
        response = _refused(request, error)
    except ClientDisconnect:
        status = 499
        response = Response(status_code=400)  # nobody reads it
    finally:
        counts.in_flight.value -= 1
        counts.requests.add(code=str(status))
        counts.seconds.observe(time.monotonic() - began)
    return response


async def _answer(service: Service, request: Request) -> Response:
    body = await _body(service, request)
    asked = decode_request(body, _header_length(request), service.contract)
    num_items = check_inputs(asked.tensors, service.contract, service.limits)
    try:
        answers = await service.queue.submit(asked.tensors, num_items)
    except Exception as error:  # ONNX Runtime raises a class of its own for each status
        logger.exception("the model failed")
        raise RequestError(f"the model cannot answer this request ({type(error).__name__})", status=500) from error
    if not np.isfinite(answers[LOGITS]).all():
        raise RequestError("the model gives a logit that is no finite number", status=500)
    service.counts.answered(answers[FLAGS])
    content, header_length = encode_answer(
        asked, answers, service.contract, model_name=service.name, model_version=service.version
    )
    if header_length is None:
        return Response(content, media_type="application/json")
    return Response(content, headers={HEADER_LENGTH: str(header_length)}, media_type="application/octet-stream")


async def _body(service: Service, request: Request) -> bytes:
    """The whole body; refused before it is read where it says that it is too large, or is compressed."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RequestError("compressed requests are not read; send them as they are", status=415)
    too_large = RequestError(f"the request has more than {service.max_body:,} bytes", status=413)
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > service.max_body:
        raise too_large
    parts = []
    left = service.max_body
    try:
        async with asyncio.timeout(service.body_seconds):
            async for part in request.stream():
                left -= len(part)
                if left < 0:
                    raise too_large
                parts.append(part)
    except TimeoutError as error:
        problem = f"the request did not arrive within {service.body_seconds:g} seconds"
        raise RequestError(problem, status=408) from error
    return b"".join(parts)


def _header_length(request: Request) -> int | None:
    given = request.headers.get(HEADER_LENGTH)
    if given is None:
        return None
    if not (given.isdecimal() and len(given) < 20):
        raise RequestError(f"{HEADER_LENGTH} is {given[:40]!r}, expected a number of bytes")
    return int(given)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _model(request: Request) -> Service:
    """The service, if the path names its model and version."""
    service = _service(request)
    name, version = request.path_params["model"], request.path_params.get("version", service.version)
    if name != service.name:
        raise RequestError(f"no model {name!r} here; this server has {service.name!r}", status=404)
    if version != service.version:
        problem = f"no version {version!r} of {service.name!r} here; this server has {service.version!r}"
        raise RequestError(problem, status=404)
    return service


def _refused(_request: Request, error: Exception) -> Response:
    """An error as the protocol words it. What was not read of the request is not waited for."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
    assert isinstance(error, RequestError)
    headers = {"retry-after": "1"} if error.status == 503 else {}
    if error.status in (408, 413, 415, 503):
        headers["connection"] = "close"
    return JSONResponse({"error": str(error)}, error.status, headers=headers)


def _bug(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": "internal error; the server's log holds the traceback"}, 500)
