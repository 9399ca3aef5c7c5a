"""A web server on a thread of its own: its socket, its start and its end. What it answers is said elsewhere.

Needs uvicorn, of the extra `serve`.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

import uvicorn

from data.errors import InputError


def listen(host: str, port: int, *, backlog: int, keys: str) -> socket.socket:
    """Listen on an address.

    Args:
        host: IPv4 or IPv6 address, or name.
        port: 0 takes a free one.
        backlog: connections that wait to be accepted at most.
        keys: of the command line that say where to listen, for the message.

    Raises:
        InputError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        raise InputError(f"{host}:{port}: cannot listen there ({error.strerror}); give another {keys}") from error


@contextmanager
def answering(
    listening: socket.socket,
    configured: Callable[[], AbstractAsyncContextManager[uvicorn.Config]],
    *,
    ended: threading.Event,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Iterator[None]:
    """Serve on a thread while the block runs; when it ends, the server is asked to stop and waited for.

    Args:
        listening: the socket; it stays the caller's to close.
        configured: entered on the server's event loop; its block ends after the last answer.
        ended: set when the server has stopped, asked or not.
        loop_factory: makes the event loop; None takes asyncio's own.
    """
    started: list[uvicorn.Server] = []
    ready = threading.Event()

    async def serve() -> None:
        async with configured() as config:
            server = uvicorn.Server(config)
            started.append(server)
            ready.set()
            await server.serve(sockets=[listening])

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(serve())
        finally:
            ready.set()
            ended.set()

    thread = threading.Thread(target=work, name="http")
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        for server in started:
            server.should_exit = True
        thread.join()
