"""A calibration that is served, and a client that speaks to it byte by byte."""

import http.client
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from calibrate.choice import BandChoice, Choice
from calibrate.operating_points_file import load_operating_points
from calibrate.review.desk import Desk
from calibrate.review.process import running
from data.files import sha256_of_file


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> dict:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Client:
    """One browser, or something that pretends to be one."""

    desk: Desk
    url: str
    cookie: str | None = None

    @property
    def port(self) -> int:
        return urlsplit(self.url).port

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> Answer:
        """One request on a connection of its own; headers that are None are left out."""
        sent = {"cookie": self.cookie, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {name: value for name, value in sent.items() if value is not None})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.ask("GET", path, **headers)

    def enter(self) -> "Client":
        """Exchange the token."""
        answer = self.get(f"/?{urlsplit(self.url).query}")
        assert answer.status == 200, answer
        self.cookie = re.match("[^;]+", answer.headers["set-cookie"])[0]
        return self

    def save(self, text: str, **headers: str | None) -> Answer:
        sent = {"origin": self.origin, "content_type": "text/yaml", **headers}
        return self.ask("POST", "/choice", text.encode(), **sent)

    def signing(self, text: str, waivers: dict[str, str] | None = None) -> bytes:
        """The body of a request to sign."""
        return json.dumps({"choice": text, "waivers": waivers or {}}).encode()

    def sign(self, text: str, waivers: dict[str, str] | None = None) -> Answer:
        body = self.signing(text, waivers)
        return self.ask("POST", "/sign", body, origin=self.origin, content_type="application/json")

    def choice(self, by: str | None = "Ada Lovelace", **thresholds: float | None) -> str:
        """The text of a choice of all bands; those of fire by their action at other thresholds."""
        bands = [
            BandChoice(
                policy_id=policy.policy_id,
                policy_version=policy.policy_version,
                band=place,
                action=band.action,
                threshold=thresholds.get(band.action, band.threshold)
                if policy.policy_id == "fire"
                else band.threshold,
            )
            for policy in load_operating_points(self.desk.calibration).policies
            for place, band in enumerate(policy.bands)
        ]
        digest = sha256_of_file(self.desk.calibration / "operating_points.json")
        found = Choice(
            schema="setpoint/choice/v1", calibration=digest, by=by, rationale="It is right.", choices=bands
        )
        return yaml.safe_dump(found.model_dump(mode="json", by_alias=True))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test's workspace is kept for the others."""
    return tmp_path_factory.mktemp("made") / "workspace"


@pytest.fixture
def desk(made: Path, make_calibration: Callable, tmp_path: Path) -> Desk:
    if made.is_dir():
        shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    else:
        make_calibration().run()
        shutil.copytree(tmp_path, made)
    return Desk(tmp_path / "calibration", tmp_path / "signatures.jsonl", tmp_path / "signed", tmp_path / "choices")


@pytest.fixture
def stranger(desk: Desk) -> Iterator[Client]:
    """Knows the address, has no cookie."""
    with running(desk, port=0, ended=threading.Event()) as url:
        yield Client(desk, url)


@pytest.fixture
def client(stranger: Client) -> Client:
    """Has exchanged the token."""
    return stranger.enter()
