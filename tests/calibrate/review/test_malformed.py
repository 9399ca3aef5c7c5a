"""A thousand requests that are wrong in every place a request can be: each is refused, and the server lives."""

import random
import socket
import time

REQUESTS = 1000
METHODS = ["GET", "POST", "HEAD", "", "G\x00T", "CONNECT", "POST" * 99]
PATHS = [
    "/",
    "/choice",
    "/sign",
    "/bands.csv",
    "/../../etc/passwd",
    "*",
    "",
    "/%ff%00",
    "/" + "a" * 9000,
    "/?token=x",
]
VERSIONS = ["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", "", "ICY"]
LINES = [
    "content-length: -1",
    "content-length: 5\r\ncontent-length: 6",
    "content-length: 99999999999999999999",
    "content-length: 0x10",
    "transfer-encoding: chunked",
    "transfer-encoding: chunked\r\ncontent-length: 3",
    "transfer-encoding: gzip, chunked",
    "content-encoding: br",
    "expect: 100-continue",
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\nsec-websocket-version: 13",
    "cookie: \xff\xfe; a=\x01",
    "x: " + "y" * 20_000,
    "no colon here",
    " folded: line",
    "name : value",
    "origin: http://evil.example",
    "range: bytes=5-2,-1,9999999999-",
    "content-type: text/yaml",
    "content-type: application/json; charset=\x7f",
]


def malformed(draw: random.Random, client) -> bytes:
    host = draw.choice([f"127.0.0.1:{client.port}", f"127.0.0.1:{client.port}", "evil.example", "a\x01b"])
    lines = [f"{draw.choice(METHODS)} {draw.choice(PATHS)} {draw.choice(VERSIONS)}".strip(), f"host: {host}"]
    if draw.random() < 0.8:
        lines += [f"cookie: {client.cookie}", f"origin: {client.origin}"]
    lines += draw.sample(LINES, draw.randint(0, 4))
    draw.shuffle(lines[1:])
    body = bytes(draw.randrange(256) for _ in range(draw.choice([0, 0, 3, 60])))
    request = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
    kind = draw.random()
    if kind < 0.2:
        request = request[: draw.randrange(len(request) + 1)]
    elif kind < 0.4:
        place = draw.randrange(len(request))
        request = request[:place] + bytes([draw.randrange(256)]) + request[place + 1 :]
    elif kind < 0.5:
        request = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 400)))
    return request


def test_a_thousand_malformed_requests(client) -> None:
    draw = random.Random(17)
    began = time.monotonic()
    answered = 0
    for _ in range(REQUESTS):
        with socket.create_connection(("127.0.0.1", client.port), timeout=5) as connection:
            connection.sendall(malformed(draw, client))
            connection.shutdown(socket.SHUT_WR)  # so that nothing more is waited for
            try:
                answer = connection.recv(1 << 16)
            except ConnectionResetError:
                continue
        answered += bool(answer)
        assert not answer or answer.startswith(b"HTTP/1.1 "), answer[:60]
        assert not answer.startswith(b"HTTP/1.1 5"), answer[:200]
    assert time.monotonic() - began < 30
    assert answered > REQUESTS / 2
    assert client.get("/").status == 200
    assert client.save(client.choice()).status == 201
    assert len(list(client.desk.choices.iterdir())) == 1
    assert not client.desk.signatures.exists()
