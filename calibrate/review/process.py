"""The served page of a calibration, from start to the last answer."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from calibrate.review.app import application
from calibrate.review.connection import HEAD_SECONDS, PatientProtocol
from calibrate.review.desk import Desk
from calibrate.review.gate import Key
from data.listening import answering, listen

HOST = "127.0.0.1"
BACKLOG = 64
DRAIN_SECONDS = 60  # that a signature may take to be certified and written once the server is asked to stop


@contextmanager
def running(desk: Desk, *, port: int, ended: threading.Event) -> Iterator[str]:
    """Serve on a thread while the block runs.

    Args:
        desk: what to serve.
        port: of 127.0.0.1; 0 takes a free one.
        ended: set when the server has stopped, asked or not.

    Yields:
        The address to open, with its token.

    Raises:
        InputError: the port cannot be listened on.
    """
    with listen(HOST, port, backlog=BACKLOG, keys="port=") as listening:
        key = Key(listening.getsockname()[1])

        @asynccontextmanager
        async def configured() -> AsyncIterator[uvicorn.Config]:
            yield _config(desk, key)

        with answering(listening, configured, ended=ended):
            yield f"http://{key.hosts[0]}/?token={key.token}"


def _config(desk: Desk, key: Key) -> uvicorn.Config:
    return uvicorn.Config(
        application(desk, key),
        loop="none",
        http=PatientProtocol,  # h11, which limits the size of headers
        h11_max_incomplete_event_size=16 * 1024,
        limit_concurrency=64,
        backlog=BACKLOG,
        ws="none",
        lifespan="off",
        access_log=False,  # it would hold the token
        log_config=None,
        log_level="error",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=int(HEAD_SECONDS),
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
