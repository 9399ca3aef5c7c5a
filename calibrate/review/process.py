"""The serving process: socket and event loop, from start to the last answer."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from calibrate.review.app import application
from calibrate.review.connection import HEAD_SECONDS, PatientProtocol
from calibrate.review.desk import Desk
from calibrate.review.gate import Key
from data.errors import InputError

HOST = "127.0.0.1"
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
    listening = _listen(port)
    key = Key(listening.getsockname()[1])
    started: list[uvicorn.Server] = []
    ready = threading.Event()

    async def serve() -> None:
        server = uvicorn.Server(_config(desk, key))
        started.append(server)
        ready.set()
        await server.serve(sockets=[listening])

    def work() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()
            ended.set()

    thread = threading.Thread(target=work, name="http")
    thread.start()
    ready.wait()
    try:
        yield f"http://{key.hosts[0]}/?token={key.token}"
    finally:
        for server in started:
            server.should_exit = True
        thread.join()
        listening.close()


def _config(desk: Desk, key: Key) -> uvicorn.Config:
    return uvicorn.Config(
        application(desk, key),
        loop="none",
        http=PatientProtocol,  # h11, which limits the size of headers
        h11_max_incomplete_event_size=16 * 1024,
        limit_concurrency=64,
        backlog=64,
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


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port), backlog=64)
    except OSError as error:
        raise InputError(f"{HOST}:{port}: cannot listen there ({error.strerror}); give another port=") from error
