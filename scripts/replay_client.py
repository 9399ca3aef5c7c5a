"""Does a server give a release's answers? Replays its golden inputs over the Open Inference Protocol; exits 1 if not.

Run: python -m scripts.replay_client URL RELEASE [--model setpoint] [--precision fp32] [--wait 60]

URL is a server's, such as http://127.0.0.1:8000: `setpoint serve`, or Triton with a repository by `setpoint triton`
(there the model is setpoint_model). Every flag must be as expected, logits and probabilities within the tolerance.
"""

import argparse
import http.client
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from export.graph.contract import Contract, read_contract
from export.release.replay import OUTPUTS, disagreements, read_exchange, read_replay
from export.scoring.batch import Batch
from export.scoring.runtimes import Outputs
from export.serving.protocol import DTYPES, HEADER_LENGTH

TIMEOUT = 60.0


class Client:
    """One connection to a server of the Open Inference Protocol.

    Args:
        url: of the server, http://HOST:PORT.
        model: name of the model.
    """

    def __init__(self, url: str, model: str) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise InputError(f"{url}: expected http://HOST:PORT")
        self.url, self.model = url, model
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT)

    def wait_until_ready(self, seconds: float) -> None:
        """Ask until the model is ready; InputError after `seconds`."""
        last = time.monotonic() + seconds
        while True:
            try:
                status, answer = self._ask("GET", f"/v2/models/{self.model}/ready", b"", {})
                if status == 200:
                    return
                problem = answer[:200].decode("utf-8", "replace") or f"status {status}"
            except (OSError, http.client.HTTPException) as error:
                problem = str(error) or type(error).__name__
            if time.monotonic() > last:
                raise InputError(f"{self.url}: the model {self.model!r} is not ready ({problem})")
            time.sleep(0.2)

    def infer(self, batch: Batch, contract: Contract) -> Outputs:
        """Send one batch as binary tensors.

        Raises:
            InputError: the server refuses it, or answers with something else than was asked for.
        """
        datatypes = {tensor.name: tensor.datatype for tensor in contract.inputs}
        arrays = {name: np.ascontiguousarray(array) for name, array in batch.arrays().items()}
        header = {
            "inputs": [
                {
                    "name": name,
                    "datatype": datatypes[name],
                    "shape": list(array.shape),
                    "parameters": {"binary_data_size": array.nbytes},
                }
                for name, array in arrays.items()
            ],
            "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in OUTPUTS],
        }
        text = json.dumps(header).encode()
        body = b"".join([text, *(array.tobytes() for array in arrays.values())])
        headers = {HEADER_LENGTH: str(len(text)), "content-type": "application/octet-stream"}
        try:
            status, answer = self._ask("POST", f"/v2/models/{self.model}/infer", body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise InputError(f"{self.url}: no answer ({error or type(error).__name__})") from error
        if status != 200:
            raise InputError(f"{self.url}: status {status}: {answer[:300].decode('utf-8', 'replace')}")
        try:
            return _outputs(answer, self._header_length)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.url}: an answer that is none of the protocol's ({error})") from error

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            self._header_length = int(response.headers.get(HEADER_LENGTH, 0))
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


def _outputs(answer: bytes, header_length: int) -> Outputs:
    header = json.loads(answer[:header_length] if header_length else answer)
    offset = header_length
    arrays: dict[str, NDArray[np.generic]] = {}
    for entry in header["outputs"]:
        size = entry["parameters"]["binary_data_size"]
        data = answer[offset : offset + size]
        arrays[entry["name"]] = np.frombuffer(data, DTYPES[entry["datatype"]]).reshape(entry["shape"])
        offset += size
    return Outputs(*(arrays[name] for name in OUTPUTS))  # type: ignore[arg-type]


def replay(
    url: str, release: Path, *, model: str = "setpoint", precision: str = "fp32", wait: float = 60.0
) -> list[str]:
    """Replay all golden inputs of a release.

    Args:
        url: of the server.
        release: folder of the release that it should serve.
        model: its name there.
        precision: in which it is served.
        wait: seconds to wait until the model is ready.

    Returns:
        How answers differ from the expected ones, a sentence each; [] if none does.

    Raises:
        InputError: no server, no such model, no release, or a request is refused.
    """
    record, contract = read_replay(release / "golden"), read_contract(release / "contract.json")
    client = Client(url, model)
    client.wait_until_ready(wait)
    problems = []
    for place, item_id in enumerate(record.item_ids):
        batch, expected = read_exchange(release / "golden", place, precision)
        found = client.infer(batch, contract)
        problems += [f"item {item_id!r}: {problem}" for problem in disagreements(expected, found, record, precision)]
    return problems


def main(arguments: list[str] | None = None) -> int:
    """Print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("release", type=Path)
    parser.add_argument("--model", default="setpoint")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--wait", type=float, default=60.0)
    options = parser.parse_args(arguments)
    try:
        answers = {"model": options.model, "precision": options.precision}
        problems = replay(options.url, options.release, **answers, wait=options.wait)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    for problem in problems:
        print(problem)
    count = len(read_replay(options.release / "golden").item_ids)
    print(f"{'FAILED' if problems else 'passed'}: {count} golden items replayed at {options.url}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
