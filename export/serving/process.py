"""The serving process: socket, event loop, batches and model, from start to the last answer."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
import uvloop

from data.errors import InputError
from export.serving.app import Service, application
from export.serving.batching import Batcher
from export.serving.checks import axis_limits
from export.serving.model import Limits, Model

KEEP_ALIVE = 75  # seconds; longer than load balancers keep theirs, so that they close first
BACKLOG = 1024


@contextmanager
def running(model: Model, limits: Limits, *, host: str, port: int, ended: threading.Event) -> Iterator[str]:
    """Serve on a thread while the block runs; when it ends, what was received is still answered.

    Args:
        model: what to serve.
        limits: what to take on.
        host: address to listen on.
        port: to listen on; 0 takes a free one.
        ended: set when the server has stopped, asked or not.

    Yields:
        Its URL.

    Raises:
        InputError: the address cannot be listened on.
    """
    listening = _listen(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    started: list[tuple[uvicorn.Server, Service]] = []
    ready = threading.Event()

    async def serve() -> None:
        batcher = Batcher(
            model.run,
            max_batch=limits.max_batch,
            max_delay=limits.max_delay,
            on_batch=model.counts.batch_ran,
        )
        service = Service(
            name=model.name,
            version=model.version,
            contract=model.contract,
            limits=axis_limits(model.preprocessing, max_batch=limits.max_batch),
            queue=batcher,
            counts=model.counts,
            max_body=limits.max_body,
            max_in_flight=limits.max_in_flight,
        )
        server = uvicorn.Server(_config(service, limits))
        started.append((server, service))
        ready.set()
        await server.serve(sockets=[listening])
        await batcher.close()

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve())
        finally:
            ready.set()
            ended.set()

    thread = threading.Thread(target=work, name="http")
    thread.start()
    ready.wait()
    try:
        yield url
    finally:
        for server, service in started:
            service.draining = True
            server.should_exit = True
        thread.join()
        listening.close()


def _config(service: Service, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        application(service),
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=limits.drain_seconds,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise InputError(
            f"{host}:{port}: cannot listen there ({error.strerror}); give another host= or port="
        ) from error
