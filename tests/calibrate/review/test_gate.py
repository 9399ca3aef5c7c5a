"""Nobody but the browser that opened the printed address gets anything, and only its page can write."""

from urllib.parse import urlsplit

import pytest

KEPT = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-security-policy": "frame-ancestors 'none'",
}
ROUTES = [("GET", "/"), ("GET", "/bands.csv"), ("GET", "/none"), ("POST", "/choice"), ("POST", "/sign")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "cookie", [None, "setpoint-review-{port}=", "setpoint-review-{port}=x", "a;b=\x01,;=", "é=é"]
)
def test_without_the_cookie_nothing_is_answered(stranger, method: str, path: str, cookie: str | None) -> None:
    stranger.cookie = cookie and cookie.format(port=stranger.port)
    answer = stranger.ask(method, path, b"", origin=stranger.origin, content_type="text/yaml")
    assert answer.status == 403
    assert answer.text == "Open the address that `setpoint review` printed.\n"
    assert {name: answer.headers[name] for name in KEPT} == KEPT


def test_the_address_opens_once(stranger) -> None:
    path = f"/?{urlsplit(stranger.url).query}"
    wrong = stranger.get(path[:-1] + ("A" if path[-1] != "A" else "B"))
    assert (wrong.status, "its token is another" in wrong.text) == (403, True)
    assert stranger.ask("HEAD", path).status == 403, "a preview of the link does not use it up"
    first = stranger.get(path)
    kept = first.headers["set-cookie"].lower()
    assert first.status == 200
    assert all(part in kept for part in ("httponly", "samesite=strict", "path=/"))
    assert first.headers["cache-control"] == "no-store"
    token = urlsplit(stranger.url).query.removeprefix("token=")
    assert token not in kept + first.text
    second = stranger.get(path)
    assert (second.status, "was used already" in second.text) == (403, True)
    assert "set-cookie" not in second.headers
    stranger.cookie = first.headers["set-cookie"].partition(";")[0]
    assert stranger.get(path).text == first.text, "the browser that has the cookie goes on"
    page = stranger.get("/")
    assert page.text.startswith('<!doctype html>\n<html data-served lang="en"')
    assert {name: page.headers[name] for name in KEPT} == KEPT
    assert token not in page.text


@pytest.mark.parametrize("host", ["setpoint.example", "127.0.0.1", "127.0.0.1:1", "localhost", "[::1]:{port}", ""])
def test_under_another_name_nothing_is_answered(client, host: str) -> None:
    for method, path in ROUTES:
        answer = client.ask(method, path, b"", host=host.format(port=client.port), origin=client.origin)
        assert (answer.status, "under no other name" in answer.text) == (403, True), path


def test_localhost_is_this_machine(client) -> None:
    host = f"localhost:{client.port}"
    assert client.get("/", host=host).status == 200
    assert client.save(client.choice(), host=host).status == 403, "from the page of the other name"
    assert client.save(client.choice(), host=host, origin=f"http://{host}").status == 201


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1"]
)
def test_another_page_cannot_write(client, origin: str | None) -> None:
    said = origin and origin.format(port=client.port)
    answer = client.save(client.choice(), origin=said)
    assert (answer.status, "Only the page of this server" in answer.text) == (403, True)
    assert not client.desk.choices.exists()


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_what_the_browser_says_of_who_asks_counts(client, site: str) -> None:
    """To a strict cookie, a page of another port of this machine is of the same site."""
    assert client.save(client.choice(), sec_fetch_site=site).status == 403
    assert not client.desk.choices.exists()
    for path in ("/", "/bands.csv"):
        loaded = client.get(path, sec_fetch_site=site, sec_fetch_mode="no-cors")
        assert loaded.status == (200 if site == "none" else 403)
        assert client.get(path, sec_fetch_site=site, sec_fetch_mode="navigate").status == 200, "a link was followed"
    assert client.save(client.choice(), sec_fetch_site="same-origin").status == 201


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_cannot_write(client, kind: str | None) -> None:
    assert client.save(client.choice(), content_type=kind).status == 415
    answer = client.ask("POST", "/sign", b"{}", origin=client.origin, content_type=kind)
    assert (answer.status, answer.content["refused"]) == (415, ["send this as application/json"])
    assert not client.desk.choices.exists()
    assert not client.desk.signatures.exists()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(client, method: str) -> None:
    for path in ("/", "/choice", "/sign", "/bands.csv"):
        assert client.ask(method, path, origin=client.origin).status == 405
        assert client.ask(method, path, origin="http://evil.example").status == 403
