"""What the served page gives and takes: files by name, choices kept each by itself, signatures one at a time."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import yaml

from calibrate.choice import load_choice
from calibrate.operating_points_file import load_operating_points

FILES = ["bands.csv", "evidence.csv", "report.xlsx", "slices.csv", "thresholds.csv"]


def missing(signed: dict) -> list[int]:
    return [band["missing"] for band in signed["bands"]]


def test_the_files_beside_the_page(client) -> None:
    for name in FILES:
        answer = client.get(f"/{name}")
        assert answer.status == 200
        assert answer.body == (client.desk.report / name).read_bytes()
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/../operating_points.json",
        "/..%2foperating_points.json",
        "/%2e%2e/operating_points.json",
        "/%2e%2e%2foperating_points.json",
        "/..%5coperating_points.json",
        "/%252e%252e%252foperating_points.json",
        "/....//operating_points.json",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/bands.csv/",
        "/bands.csv%00",
        "/bands.csv%20",
        "/./bands.csv",
        "/BANDS.csv",
        "/.",
        "/..",
        "/%c0%ae%c0%ae/operating_points.json",
        "/link.csv",
        "/folder.csv",
        "/notes.txt",
        "/index.html",
        "/.hidden",
        "http://127.0.0.1/bands.csv",
    ],
)
def test_nothing_else_is_given(client, path: str) -> None:
    report = client.desk.report
    (report / "link.csv").symlink_to(report.parent / "operating_points.json")
    (report / "folder.csv").mkdir()
    (report / "notes.txt").write_text("private")
    answer = client.get(path)
    assert answer.status in (400, 403, 404)
    assert b"private" not in answer.body
    assert b"golden_set" not in answer.body


def test_two_people_who_save_lose_nothing(client) -> None:
    texts = [client.choice(f"Person {number}") for number in range(12)]
    with ThreadPoolExecutor(12) as people:
        answers = list(people.map(client.save, texts))
    assert [answer.status for answer in answers] == [201] * 12
    kept = sorted(path.read_text() for path in client.desk.choices.iterdir())
    assert kept == sorted(texts)
    assert {answer.content["saved"] for answer in answers} == {str(path) for path in client.desk.choices.iterdir()}
    assert all(load_choice(path).by.startswith("Person") for path in client.desk.choices.iterdir())


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "expected a mapping"),
        ("- a", "expected a mapping"),
        ("{", "not a YAML file"),
        ("[" * 20_000, "not a YAML file"),
        ("a: &a [1]\nb: *a", "an alias, and a choice has none"),
        ("a: " + "9" * 5000, "not a YAML file"),
        ("a: 2026-99-99", "not a YAML file"),
        ("!!python/object/apply:os.system ['true']", "a tag, and a choice has none"),
        ("a: !!bool x", "a tag, and a choice has none"),
        ("a: !!timestamp x", "a tag, and a choice has none"),
        ("by: Ada\nby: Grace", "the key 'by' stands twice"),
        ("? [a]\n: b", "a key is a plain word"),
        ("1: b", "a key is a plain word"),
        ("schema: setpoint/choice/v1", "calibration"),
    ],
)
def test_what_is_no_choice_is_not_kept(client, text: str, part: str) -> None:
    for answer in (client.save(text), client.sign(text)):
        assert answer.status == 200
        assert part in " ".join(answer.content["refused"])
    assert not client.desk.choices.exists()
    assert not client.desk.signatures.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'"choice"',
        b"[" * 100_000,
        b'{"choice": 1, "waivers": {}}',
        b'{"choice": "a", "waivers": []}',
        b'{"choice": "a", "waivers": {}, "choice": "b"}',
        b'{"choice": "a", "waivers": {"fire.0": "x", "fire.0": "y"}}',
        b'{"choice": "a", "waivers": {"fire.0": null}}',
        b'{"choice": "a", "waivers": {}, "today": "2020-01-01"}',
        b'{"choice": "a", "waivers": {"a": ' + b"9" * 10_000 + b"}}",
        b"\xff\xfe",
    ],
)
def test_what_is_no_request_to_sign_is_refused(client, body: bytes) -> None:
    answer = client.ask("POST", "/sign", body, origin=client.origin, content_type="application/json")
    assert answer.status == 400
    assert answer.content["refused"]


def test_a_choice_of_another_calibration_is_not_kept(client) -> None:
    content = yaml.safe_load(client.choice())
    answer = client.save(yaml.safe_dump({**content, "calibration": "ab" * 32}))
    assert (answer.status, "another calibration" in answer.content["refused"][0]) == (200, True)
    assert not client.desk.choices.exists()


def test_the_page_tells_what_was_saved_and_signed_before(client) -> None:
    def left() -> dict:
        [line] = [line for line in client.get("/").text.splitlines() if 'id="before"' in line]
        return json.loads(line.partition('id="before">')[2].removesuffix("</script>"))

    assert left() == {"saved": None, "signed": None}
    harm = "</script><script>window.harmed=1</script>"
    client.save(client.choice("first"))
    client.save(client.choice(f"\u202e{harm}", auto_remove=2.5))
    (client.desk.choices / "choice-99999999T000000Z-x.yaml").write_text("no choice")
    assert harm not in client.get("/").text
    saved = left()["saved"]
    assert (saved["by"], saved["choices"][0]["threshold"]) == (f"\ufffd{harm}", 2.5)
    assert saved["on"] == datetime.now(UTC).date().isoformat()
    assert str(client.desk.choices) not in client.get("/").text
    assert client.sign(client.choice()).status == 200
    signed = left()["signed"]
    assert (signed["by"], missing(signed)) == (["Ada Lovelace"], [1, 0, 0, 0])
    answered = client.sign(client.choice("Grace Hopper")).content["signed"]
    assert left()["signed"] == answered
    assert (answered["by"], missing(answered)) == (["Ada Lovelace", "Grace Hopper"], [0, 0, 0, 0])
    other = client.sign(client.choice("Grace Hopper", auto_remove=None)).content
    assert (other["others"], other["signed"]["bands"][0]["status"]) == (
        ["Ada Lovelace", "Grace Hopper"],
        "switched_off",
    )


def test_a_head_that_does_not_end_is_not_waited_for(client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibrate.review.connection.HEAD_SECONDS", 0.3)
    for start in (b"", b"GET / HTTP/1.1\r\nx: "):
        with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
            connection.sendall(start)
            assert connection.recv(100) == b""
    assert client.get("/").status == 200


def test_half_characters_are_refused_in_words(client) -> None:
    body = '{"choice": "schema: \\ud800", "waivers": {"\\udfff.0": "\\ud800"}}'
    answer = client.ask("POST", "/sign", body.encode(), origin=client.origin, content_type="application/json")
    assert (answer.status, len(answer.content["refused"]) > 0) == (200, True)
    answer = client.ask(
        "POST",
        "/sign",
        json.dumps({"choice": client.choice(), "waivers": {"\ud800.0": "why"}}).encode(),
        origin=client.origin,
        content_type="application/json",
    )
    assert (answer.status, "waivers." in answer.content["refused"][0]) == (200, True)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_has_a_size(client, chunked: bool) -> None:
    """One that says so is refused before it is sent; one that does not, while it is read."""
    head = [
        "POST /choice HTTP/1.1",
        f"host: 127.0.0.1:{client.port}",
        f"cookie: {client.cookie}",
        f"origin: {client.origin}",
        "content-type: text/yaml",
        "transfer-encoding: chunked" if chunked else f"content-length: {1 << 40}",
    ]
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        if chunked:
            part = b"10000\r\n" + b"a" * 65536 + b"\r\n"
            for _ in range(17):
                connection.sendall(part)
        answer = b""
        while b" bytes" not in answer and (some := connection.recv(65536)):
            answer += some
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"more than 1,048,576 bytes" in answer
    assert client.get("/bands.csv").status == 200


def test_signed_by_two(client) -> None:
    first = client.sign(client.choice("Ada Lovelace"))
    assert first.status == 200
    assert {key: first.content[key] for key in ("signer", "is_new", "others")} == {
        "signer": "Ada Lovelace",
        "is_new": True,
        "others": [],
    }
    assert (first.content["signed"]["by"], missing(first.content["signed"])) == (["Ada Lovelace"], [1, 0, 0, 0])
    again = client.sign(client.choice("ada lovelace"))
    assert (again.status, "needs another name" in again.content["refused"][0]) == (200, True)
    assert again.content["told"].startswith("Ada Lovelace signed these thresholds on 20")
    assert str(client.desk.signatures) in again.content["refused"][0], "what a terminal is told names the file"
    second = client.sign(client.choice("Grace Hopper"))
    assert missing(second.content["signed"]) == [0, 0, 0, 0]
    signed = load_operating_points(client.desk.out)
    assert [each.by for each in signed.policies[0].bands[0].signatures] == ["Ada Lovelace", "Grace Hopper"]


def test_without_a_promise_only_with_a_waiver(client) -> None:
    text = client.choice(auto_remove=-3.0)
    refused = client.sign(text)
    assert (refused.status, "no promise holds there" in refused.content["refused"][0]) == (200, True)
    assert refused.content["told"].startswith("fire, auto_remove: nothing is promised at -3.00.")
    needless = client.sign(client.choice(), {"fire.0": "why"})
    assert needless.content["told"].startswith("fire, auto_remove: the promise holds")
    assert not client.desk.signatures.exists()
    assert client.sign(text, {"fire.0": "a drill of one day"}).status == 200
    assert load_operating_points(client.desk.out).policies[0].bands[0].status == "waived"


def test_inputs_that_changed_are_refused(client) -> None:
    with (client.desk.calibration.parent / "scores.parquet").open("ab") as file:
        file.write(b"x")
    answer = client.sign(client.choice())
    assert (answer.status, [*answer.content]) == (200, ["refused"])
    assert not client.desk.signatures.exists()


def test_two_who_sign_at_once_are_both_kept(client) -> None:
    names = ["Ada Lovelace", "Grace Hopper", "Zoë Ŝ"]
    with ThreadPoolExecutor(4) as people:
        saved = people.submit(client.save, client.choice("Somebody Else"))
        answers = list(people.map(lambda name: client.sign(client.choice(name)), names))
        assert saved.result().status == 201
    assert [answer.status for answer in answers] == [200] * 3
    lines = [json.loads(line) for line in client.desk.signatures.read_text().splitlines()]
    assert sorted(line["by"] for line in lines) == sorted(names)
    [band, *_] = load_operating_points(client.desk.out).policies[0].bands
    assert sorted(each.by for each in band.signatures) == sorted(names)
    assert max((answer.content["signed"]["by"] for answer in answers), key=len) == [line["by"] for line in lines]


def test_the_page_answers_while_somebody_signs(client) -> None:
    signing = threading.Thread(target=client.sign, args=[client.choice()])
    signing.start()
    assert client.get("/").status == 200
    signing.join()
    assert yaml.safe_load(client.desk.signatures.read_text().splitlines()[0])["by"] == "Ada Lovelace"
