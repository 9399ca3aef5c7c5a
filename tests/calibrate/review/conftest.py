"""A calibration that is served, and a client that speaks to it byte by byte."""

import http.client
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from choices import choice_of

from calibrate.review.desk import Desk
from calibrate.review.process import running


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
        found = choice_of(self.desk.calibration, by, **thresholds)
        return yaml.safe_dump(found.model_dump(mode="json", by_alias=True))


@pytest.fixture
def desk(calibrated: Path) -> Desk:
    folder = calibrated.parent
    return Desk(calibrated, folder / "signatures.jsonl", folder / "signed", folder / "choices")


@pytest.fixture
def stranger(desk: Desk) -> Iterator[Client]:
    """Knows the address, has no cookie."""
    with running(desk, port=0, ended=threading.Event()) as url:
        yield Client(desk, url)


@pytest.fixture
def client(stranger: Client) -> Client:
    """Has exchanged the token."""
    return stranger.enter()
