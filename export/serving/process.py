"""The served release: batches and model, from start to the last answer."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
import uvloop

from data.listening import answering, listen
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
    services: list[Service] = []

    @asynccontextmanager
    async def configured() -> AsyncIterator[uvicorn.Config]:
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
        services.append(service)
        yield _config(service, limits)
        await batcher.close()

    with (
        listen(host, port, backlog=BACKLOG, keys="host= or port=") as listening,
        answering(listening, configured, ended=ended, loop_factory=uvloop.new_event_loop),
    ):
        try:
            yield f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        finally:
            for service in services:
                service.draining = True


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
