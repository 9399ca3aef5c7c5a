"""The verb as people type it: one line with the address, an end in order, and what it refuses to serve."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from calibrate.choice import load_choice
from calibrate.review.run import review
from data.errors import InputError
from scripts.cli import run

PROJECT = Path(__file__).resolve().parents[3]


def words(desk) -> list[str]:
    root = desk.calibration.parent
    return [
        f"root={root}",
        f"calibration={desk.calibration}",
        f"signatures={desk.signatures}",
        f"out={desk.out}",
        f"choices={desk.choices}",
    ]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_asked_to_stop(stranger, ending: signal.Signals) -> None:
    command = [sys.executable, "-m", "scripts.cli", "review", *words(stranger.desk)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", said)
            assert found, said
            stranger.url = found[0]  # of this process, not of the one that the fixture serves
            client = stranger.enter()
            assert client.save(client.choice()).status == 201
            process.send_signal(ending)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, err) == (0, "")
    assert "review: stopped" in out
    assert "token" not in out, "it is printed once"
    [path] = stranger.desk.choices.iterdir()
    assert load_choice(path).by == "Ada Lovelace"


def test_a_signature_that_was_begun_is_finished(stranger) -> None:
    command = [sys.executable, "-m", "scripts.cli", "review", *words(stranger.desk)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            stranger.url = re.search(r"http://\S+", process.stdout.readline())[0]
            client = stranger.enter()
            host = f"host: 127.0.0.1:{client.port}\r\ncookie: {client.cookie}\r\norigin: {client.origin}"
            body = client.signing(client.choice())
            head = f"POST /sign HTTP/1.1\r\n{host}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
            with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
                connection.sendall(f"{head}\r\n\r\n".encode() + body)
                time.sleep(0.5)
                process.terminate()
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert len(client.desk.signatures.read_text().splitlines()) == 1
    assert (client.desk.out / "report" / "index.html").is_file()


def test_what_cannot_be_signed_is_not_served(desk, capsys: pytest.CaptureFixture[str]) -> None:
    (desk.calibration / "made_from.json").unlink()
    assert run(["review", *words(desk)]) == 2
    assert "calibrate again if it is older" in capsys.readouterr().err


def test_what_has_no_page_is_not_served(desk, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(desk.calibration / "report")
    assert run(["review", *words(desk)]) == 2
    assert "index.html: no such file" in capsys.readouterr().err


def test_a_port_that_is_taken(stranger) -> None:
    desk = stranger.desk
    with pytest.raises(InputError, match=f"127.0.0.1:{stranger.port}: cannot listen there .* give another port="):
        review(
            calibration=desk.calibration,
            signatures=desk.signatures,
            out=desk.out,
            choices=desk.choices,
            port=stranger.port,
        )


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra(desk, capsys: pytest.CaptureFixture[str], monkeypatch, missing: str) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == missing or "calibrate.review" in each]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert run(["review", *words(desk)]) == 2
    said = capsys.readouterr().err
    assert f"setpoint review needs {missing}" in said
    assert "pip install 'setpoint[serve]'" in said
