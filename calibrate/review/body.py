"""Bodies of requests: of the right kind, small, whole within a time, and text."""

import asyncio
import json
from typing import Any

from starlette.requests import Request

LARGEST = 1 << 20
SECONDS = 20.0


class Refusal(Exception):  # noqa: N818 (an answer)
    """A request that is refused.

    Args:
        status: of HTTP.
        lines: what is wrong, for the person at the page.
    """

    def __init__(self, status: int, *lines: str) -> None:
        super().__init__(*lines)
        self.status, self.lines = status, lines


async def text_of(request: Request, kind: str) -> str:
    """The body, whose media type must be `kind`; Refusal where it cannot be read."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != kind:
        raise Refusal(415, f"send this as {kind}")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refusal(415, "compressed requests are not read; send them as they are")
    too_large = Refusal(413, f"this has more than {LARGEST:,} bytes")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > LARGEST:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST:
                    raise too_large
    except TimeoutError as error:
        raise Refusal(408, f"the request did not arrive within {SECONDS:g} seconds") from error
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(400, "this is no UTF-8 text") from error


def signing_of(text: str) -> tuple[str, dict[str, str]]:
    """The choice and the waivers of a request to sign; Refusal where it says something else."""
    expected = Refusal(400, 'expected {"choice": "text of choice.yaml", "waivers": {"POLICY_ID.BAND": "why"}}')
    try:
        content: Any = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise expected from error
    if not isinstance(content, dict) or set(content) != {"choice", "waivers"}:
        raise expected
    choice, waivers = content["choice"], content["waivers"]
    if not isinstance(choice, str) or not isinstance(waivers, dict):
        raise expected
    if not all(isinstance(why, str) for why in waivers.values()):
        raise expected
    return choice, waivers


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
