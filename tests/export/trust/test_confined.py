"""Work on files of strangers: whatever it does to its process, ours goes on, and knows how it ended."""

import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from export.trust.confined import confined

DEADLINE = 20.0


def never_ends() -> Iterator[str]:
    yield "begun"
    while True:
        pass


def sleeps() -> Iterator[str]:
    yield "begun"
    time.sleep(1000)


def crashes() -> Iterator[str]:
    yield "begun"
    ctypes.string_at(0)


def aborts() -> Iterator[str]:
    yield "begun"
    os.abort()


def leaves() -> Iterator[str]:
    yield "begun"
    os._exit(0)


def test_sentences_come_back_whole() -> None:
    said = ["one", "", "\N{SNOWMAN} \ud800", "long " * 5000]
    sentences, ending = confined(lambda: said, seconds=DEADLINE)
    assert ending is None
    assert sentences[:3] == ["one", "nothing was said of what is wrong", "\N{SNOWMAN} ?"]
    assert sentences[3] == said[3][:4000]
    assert confined(list, seconds=DEADLINE) == ([], None)


@pytest.mark.parametrize("work", [never_ends, sleeps])
def test_work_without_end_is_ended(work) -> None:
    started = time.perf_counter()
    assert confined(work, seconds=0.5) == (["begun"], "took longer than 0.5 s and was ended")
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("work", "words"),
    [(crashes, "ended by SIGSEGV"), (aborts, "ended by SIGABRT"), (leaves, "ended before it was done")],
)
def test_a_crash_is_a_sentence(work, words) -> None:
    assert confined(work, seconds=DEADLINE) == (["begun"], words)


def test_memory_is_bounded() -> None:
    def grows() -> Iterator[str]:
        yield "begun"
        held = [bytearray(2**26)]
        while len(held) < 1000:
            held.append(bytearray(2**26))
        yield f"took {len(held)} pieces"

    sentences, ending = confined(grows, seconds=DEADLINE, memory=2**30)
    assert (sentences, ending) == (["begun", "MemoryError: "], "ended before it was done")


def test_nothing_can_be_written_or_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def writes() -> Iterator[str]:
        os.write(1, b"\x1b[2J")
        os.write(2, b"\x1b[2J")
        try:
            (tmp_path / "written").write_text("content")
        except OSError as error:
            yield error.strerror or ""

    assert confined(writes, seconds=DEADLINE) == (["File too large"], None)
    assert (tmp_path / "written").read_text() == ""
    assert capfd.readouterr() == ("", "")


def test_a_panic_below_python_is_a_sentence() -> None:
    def panics() -> Iterator[str]:
        yield "begun"
        raise BaseException("a panic is no Exception")

    assert confined(panics, seconds=DEADLINE) == (
        ["begun", "BaseException: a panic is no Exception"],
        "ended before it was done",
    )


def test_libraries_with_threads_work_in_there() -> None:
    tokenizer = Tokenizer.from_str(
        '{"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}, "added_tokens": []}'
    )
    tokenizer.encode_batch(["a"] * 1000)
    assert confined(lambda: [str(tokenizer.encode_batch(["b"] * 1000)[999].ids)], seconds=DEADLINE) == (["[1]"], None)
