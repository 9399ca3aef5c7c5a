"""The HTTP side of the served page, as a Starlette application behind its gate."""

import asyncio
import json
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from calibrate.refused import RefusedError
from calibrate.report.text import all_shown
from calibrate.review.body import Refusal, signing_of, text_of
from calibrate.review.desk import Desk
from calibrate.review.gate import Gate, Key, refused
from data.errors import InputError


def application(desk: Desk, key: Key) -> Gate:
    """The page, the files beside it, and what the page may ask for."""
    app = Starlette(
        routes=[
            Route("/", page),
            Route("/choice", save, methods=["POST"]),
            Route("/sign", sign, methods=["POST"]),
            Route("/favicon.ico", icon),
            Route("/{name}", file),
        ],
        exception_handlers={
            Refusal: _refused,
            InputError: _wrong,
            HTTPException: _http,
            ClientDisconnect: _gone,
            Exception: _bug,
        },
    )
    app.router.redirect_slashes = False
    app.state.desk = desk
    app.state.one_at_a_time = asyncio.Lock()  # certifying again takes every core
    return Gate(app, key)


async def page(request: Request) -> Response:
    """The page."""
    return HTMLResponse(await asyncio.to_thread(_desk(request).page))


async def file(request: Request) -> Response:
    """A file beside the page."""
    found = await asyncio.to_thread(_desk(request).file, request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    return FileResponse(found, filename=found.name)


async def icon(_request: Request) -> Response:
    """None: browsers ask for one, and would report its absence as an error."""
    return Response(status_code=204)


async def save(request: Request) -> Response:
    """Keep a choice."""
    text = await text_of(request, "text/yaml")
    path = await asyncio.to_thread(_desk(request).save, text)
    return answer({"saved": str(path)}, 201)


async def sign(request: Request) -> Response:
    """Sign a choice."""
    choice, waivers = signing_of(await text_of(request, "application/json"))
    async with request.app.state.one_at_a_time:
        result = await asyncio.to_thread(_desk(request).sign, choice, waivers)
        signed = await asyncio.to_thread(_desk(request).signed)
    content = {
        "signer": result.signer,
        "is_new": result.is_new,
        "others": result.others,
        "signed": signed and signed.model_dump(mode="json"),
    }
    return answer(all_shown(content))


def answer(content: dict[str, Any], status: int = 200) -> Response:
    """JSON in ASCII: whatever text came in, and half a character too, goes out."""
    closing = {"connection": "close"} if status in (408, 413, 415) else {}
    return Response(json.dumps(content), status, headers=closing, media_type="application/json")


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return answer({"refused": error.lines}, error.status)


def _wrong(request: Request, error: Exception) -> Response:
    """A choice that may not be kept or signed is answered like one that may: browsers report failures as faults."""
    told = {"told": error.told} if isinstance(error, RefusedError) else {}
    return answer(all_shown({"refused": str(error).splitlines(), **told}), 200 if request.method == "POST" else 422)


def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refused(error.status_code, error.detail)


def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


def _bug(_request: Request, _error: Exception) -> Response:
    return answer({"refused": ["internal error; the terminal of `setpoint review` holds the traceback"]}, 500)
