"""A release behind a real socket: asked by tritonclient as it is, by raw HTTP, and by the replay client."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from data.errors import InputError
from export.release.replay import read_exchange, read_replay
from export.serving.model import Limits, Model, load_model
from export.serving.process import running
from export.serving.run import serve
from scripts.replay_client import main as replay_client
from scripts.replay_client import replay

DATATYPES = {"uint8": "UINT8", "bool": "BOOL", "int64": "INT64", "float32": "FP32"}


@pytest.fixture(scope="module")
def model(untouched_release: Path) -> Model:
    return load_model(untouched_release)


@pytest.fixture(scope="module")
def url(model: Model) -> Iterator[str]:
    limits = Limits(max_batch=4, max_body=300_000)
    with running(model, limits, host="127.0.0.1", port=0, ended=threading.Event()) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(url.removeprefix("http://")) as client:
        yield client


def exchange(release: Path, place: int):
    batch, expected = read_exchange(release / "golden", place)
    return batch.arrays(), expected


def inputs_of(arrays, *, binary: bool = True) -> list[triton.InferInput]:
    inputs = []
    for name, array in arrays.items():
        inputs.append(triton.InferInput(name, list(array.shape), DATATYPES[str(array.dtype)]))
        inputs[-1].set_data_from_numpy(np.ascontiguousarray(array), binary_data=binary)
    return inputs


def post(url: str, body: bytes, **headers: str) -> tuple[int, dict]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    connection.request("POST", "/v2/models/setpoint/infer", body, headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def metric(url: str, start: str) -> float:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))


def test_it_says_what_it_serves(client: triton.InferenceServerClient, untouched_release: Path, model: Model) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("setpoint")
    assert client.is_model_ready("setpoint", model_version=untouched_release.name)
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata("setpoint")
    contract = json.loads((untouched_release / "contract.json").read_text())
    for kind in ("inputs", "outputs"):
        wanted = [{key: tensor[key] for key in ("name", "datatype", "shape")} for tensor in contract[kind]]
        assert metadata[kind] == wanted
    assert metadata["versions"] == [untouched_release.name]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_tritonclient_gets_the_expected_answers(
    client: triton.InferenceServerClient, untouched_release: Path, binary_in: bool, binary_out: bool
) -> None:
    names = ("logits", "probabilities", "flags")
    wanted = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in names]
    for place in range(len(read_replay(untouched_release / "golden").item_ids)):
        arrays, expected = exchange(untouched_release, place)
        inputs = inputs_of(arrays, binary=binary_in)
        answer = client.infer("setpoint", inputs, outputs=wanted, request_id=f"r{place}")
        np.testing.assert_array_equal(answer.as_numpy("flags"), expected.flags)
        np.testing.assert_allclose(answer.as_numpy("logits"), expected.logits, atol=1e-5)
        assert answer.get_response()["id"] == f"r{place}"
        assert answer.get_response()["model_version"] == untouched_release.name


def test_many_requests_at_once_lose_nothing_and_run_in_batches(url: str, untouched_release: Path) -> None:
    exchanges = [exchange(untouched_release, place) for place in range(6)]
    before, batches = metric(url, "setpoint_requests_total"), metric(url, "setpoint_batch_items_count")
    flagged = metric(url, "setpoint_flags_total")

    def ask(first: int) -> list[tuple[int, np.ndarray]]:
        with triton.InferenceServerClient(url.removeprefix("http://")) as own:
            numbers = [(first + step) % 6 for step in range(25)]
            return [(n, own.infer("setpoint", inputs_of(exchanges[n][0])).as_numpy("flags")) for n in numbers]

    with ThreadPoolExecutor(16) as pool:
        answers = [answer for part in pool.map(ask, range(16)) for answer in part]
    assert len(answers) == 400
    for place, flags in answers:
        np.testing.assert_array_equal(flags, exchanges[place][1].flags)
    assert metric(url, "setpoint_requests_total") - before == 400
    assert metric(url, "setpoint_flags_total") - flagged == sum(int(flags.sum()) for _, flags in answers)
    assert metric(url, "setpoint_batch_items_count") - batches < 400


def test_the_replay_client_passes_and_finds_a_changed_answer(
    url: str, release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(url, release) == []
    assert replay_client([url, str(release)]) == 0
    from safetensors.numpy import load_file, save_file

    file = release / "golden" / "0001.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "flags": ~tensors["flags"]}, file)
    assert replay_client([url, str(release)]) == 1
    assert "flags differ in bands [0, 1, 2]" in capsys.readouterr().out
    assert replay_client([url, str(release), "--model", "other", "--wait", "0"]) == 2
    assert "no model 'other' here" in capsys.readouterr().err


def test_wrong_requests_are_refused_with_a_reason(
    url: str, client: triton.InferenceServerClient, untouched_release: Path
) -> None:
    arrays, _ = exchange(untouched_release, 0)
    cases = [
        ({**arrays, "token_ids": arrays["token_ids"] + 100}, "token_ids': holds a value outside 0 … 4"),
        ({**arrays, "frames": np.repeat(arrays["frames"], 2, 0)}, "frame_mask': batch is 1, expected 2"),
        ({name: np.repeat(array, 5, 0) for name, array in arrays.items()}, "batch is 5, expected 1 to 4"),
        ({**arrays, "frames": arrays["frames"][..., :4]}, "frames': width is 4, expected 8"),
        ({**arrays, "frames": arrays["frames"][0]}, "shape is [1, 3, 8, 8], expected [batch"),
        ({**arrays, "frame_times": arrays["frame_times"] * np.float32("nan")}, "no finite number"),
        ({**arrays, "frame_times": arrays["frame_times"].astype(np.int64)}, "datatype is 'INT64', expected FP32"),
        ({name: array for name, array in arrays.items() if name != "frames"}, "input 'frames' is missing"),
        ({**arrays, "other": arrays["frames"]}, "no input 'other'"),
    ]
    for given, words in cases:
        with pytest.raises(InferenceServerException) as refused:
            client.infer("setpoint", inputs_of(given))
        assert words in str(refused.value)
        assert refused.value.status() == "400"
    assert post(url, b"{")[0] == 400
    assert post(url, b"[]")[1] == {"error": "the request: expected a JSON object"}
    assert post(url, b"[" * 100_000)[0] == 400
    assert post(url, b"{}", **{"inference-header-content-length": "9"})[0] == 400
    assert post(url, b"{}", **{"inference-header-content-length": "-1"})[0] == 400
    assert post(url, b"x" * 300_001)[0] == 413
    assert post(url, b"x", **{"content-encoding": "gzip"})[0] == 415
    parameters = {"inputs": [], "parameters": {"sequence_id": 3}}
    assert "missing" in post(url, json.dumps(parameters).encode())[1]["error"]
    assert client.is_server_live()


def test_one_request_that_the_model_refuses_fails_alone(model: Model, untouched_release: Path) -> None:
    """Two requests of one batch: the graph fails on both together, and on one of them alone."""
    from dataclasses import replace

    def fragile(tensors):
        if (tensors["frame_times"] > 900).any():
            raise RuntimeError("the graph fails")
        return model.run(tensors)

    arrays, expected = exchange(untouched_release, 0)
    bad = {**arrays, "frame_times": np.full_like(arrays["frame_times"], 1000)}
    limits = Limits(max_batch=2, max_delay=5)
    ended = threading.Event()
    with running(replace(model, run=fragile), limits, host="127.0.0.1", port=0, ended=ended) as url:

        def ask(given):
            with triton.InferenceServerClient(url.removeprefix("http://")) as own:
                return own.infer("setpoint", inputs_of(given)).as_numpy("flags")

        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(ask, given) for given in (arrays, bad)]
            np.testing.assert_array_equal(answers[0].result(), expected.flags)
            with pytest.raises(InferenceServerException, match="cannot answer this request"):
                answers[1].result()
    assert ended.is_set()


def test_sigterm_finishes_what_is_queued(untouched_release: Path) -> None:
    """Requests wait in a batch that is not full when the signal comes, and are answered all the same."""
    command = [sys.executable, "-m", "scripts.cli", "serve", f"release={untouched_release}", "port=0"]
    with subprocess.Popen(
        [*command, "max_batch=64", "max_delay_ms=3000"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert untouched_release.name in line
        url = line.split("http://")[1].split("/")[0]
        arrays, expected = exchange(untouched_release, 0)

        def ask(_):
            with triton.InferenceServerClient(url) as own:
                return own.infer("setpoint", inputs_of(arrays)).as_numpy("flags")

        with ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(ask, number) for number in range(4)]
            while metric(url, "setpoint_requests_in_flight") < 4:
                pass
            os.kill(process.pid, signal.SIGTERM)
            for answer in answers:
                np.testing.assert_array_equal(answer.result(20), expected.flags)
        assert process.wait(20) == 0
        assert "4 requests answered" in process.stdout.read()


def test_what_cannot_be_served_is_named(release: Path, url: str) -> None:
    port = int(url.rpartition(":")[2])
    with pytest.raises(InputError, match="cannot listen there"):
        serve(release=release, port=port)
    with pytest.raises(InputError, match="has no precision 'int4'"):
        serve(release=release, precision="int4", port=0)
    (release / "policies.json").write_text("{}")
    with pytest.raises(InputError, match="is not a release to serve"):
        serve(release=release, port=0)
