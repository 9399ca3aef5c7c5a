"""A server on a thread: it answers while the block runs, ends with it, and says so when it ends by itself."""

import asyncio
import threading
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import uvicorn

from data.errors import InputError
from data.listening import answering, listen

LOCAL = "127.0.0.1"


def configured(
    done: list[str], *, wait: threading.Event | None = None
) -> Callable[[], AbstractAsyncContextManager[uvicorn.Config]]:
    """An application that says hello, once `wait` is set; what happened, in order, comes into `done`."""

    async def application(scope, receive, send) -> None:
        done.append("asked")
        while wait is not None and not wait.is_set():
            await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})
        done.append("answered")

    @asynccontextmanager
    async def made() -> AsyncIterator[uvicorn.Config]:
        done.append(type(asyncio.get_running_loop()).__name__)
        yield uvicorn.Config(application, lifespan="off", log_config=None, log_level="error", access_log=False)
        done.append("closed")

    return made


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()


class OwnLoop(asyncio.SelectorEventLoop):
    """To be told from asyncio's own."""


def test_answers_while_the_block_runs_and_ends_with_it() -> None:
    done: list[str] = []
    ended = threading.Event()
    with listen(LOCAL, 0, backlog=8, keys="port=") as listening:
        url = f"http://{LOCAL}:{listening.getsockname()[1]}"
        with answering(listening, configured(done), ended=ended, loop_factory=OwnLoop):
            assert get(url) == b"hello"
            assert not ended.is_set()
        assert ended.is_set()
    assert done == ["OwnLoop", "asked", "answered", "closed"]
    with pytest.raises(OSError):
        get(url)


def test_what_was_received_is_answered_before_it_ends() -> None:
    done: list[str] = []
    wait = threading.Event()
    answers: list[bytes] = []
    with listen(LOCAL, 0, backlog=8, keys="port=") as listening:
        url = f"http://{LOCAL}:{listening.getsockname()[1]}"
        asker = threading.Thread(target=lambda: answers.append(get(url)))
        with answering(listening, configured(done, wait=wait), ended=threading.Event()):
            asker.start()
            while "asked" not in done:
                pass
            threading.Timer(0.2, wait.set).start()
        asker.join()
    assert answers == [b"hello"]
    assert done[1:] == ["asked", "answered", "closed"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_that_cannot_start_says_that_it_ended() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[uvicorn.Config]:
        raise RuntimeError("no model")
        yield

    ended = threading.Event()
    with listen(LOCAL, 0, backlog=8, keys="port=") as listening, answering(listening, broken, ended=ended):
        assert ended.wait(20)


def test_an_address_that_is_taken_is_named_with_the_keys_to_change() -> None:
    with listen(LOCAL, 0, backlog=8, keys="port=") as listening:
        port = listening.getsockname()[1]
        with pytest.raises(InputError, match=f"^{LOCAL}:{port}: cannot listen there .*; give another host= or port="):
            listen(LOCAL, port, backlog=8, keys="host= or port=")
