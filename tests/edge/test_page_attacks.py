"""Attacks on the page, by name: each against a real server, each refused before the page hears."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import pytest

from edge.configuration.sections import PageConfig
from edge.errors import ConfigError
from edge.page.access import check_access, host_names, is_named
from edge.page.accounts import Accounts
from edge.page.gate import Gate
from edge.page.guard import BODY_BYTES_MAX, CONTENT_POLICY
from edge.page.roles import RIGHTS, Role, is_open, needed
from edge.trust import COMMANDS
from tests.edge.page_site import PASSWORD, PEOPLE, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.edge.page_site import Site

# What each role may send, written down a second time: the table of the product is held to it.
MAY: Final = {
    Role.VIEWER: set[str](),
    Role.OPERATOR: {
        "ack",
        "shelve",
        "feedback",
        "confirm",
        "text",
        "job check_in",
        "job check_out",
        "job cancel",
    },
}
MAY[Role.ENGINEER] = MAY[Role.OPERATOR] | {"oos", "job extend"}
ACTIONS: Final = ("check_in", "check_out", "extend", "cancel")
SAID: Final = [name for name in COMMANDS if name != "job"] + [f"job {act}" for act in ACTIONS]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A page with a viewer, an operator and an engineer."""
    with served(tmp_path_factory.mktemp("site"), hosts=["Panel7.plant.test"]) as found:
        yield found


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("name", PEOPLE)
def test_role_escalation(site: Site, name: str, said: str) -> None:
    """Every command by every role: it comes through exactly where the role allows it."""
    role = PEOPLE[name]
    command, _, action = said.partition(" ")
    client = site.known(name)
    before = len(site.heard)
    done = client.post(f"/api/say/{command}", json={"action": action} if action else {})
    allowed = said in MAY[role]
    assert done.status_code == (200 if allowed else 403), done.text
    assert site.heard[before:] == ([(name, str(role), command)] if allowed else [])


@pytest.mark.parametrize("path", ["/", "/api/picture", "/stream", "/api/session", "/password"])
def test_nothing_is_read_without_a_session(site: Site, path: str) -> None:
    """Whatever is not a style of the sign-in itself."""
    assert site.browser().get(path).status_code == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/say/job", b'{"action": "check_in"} trailing'),
        ("/api/say/job", b'["check_in"]'),
        ("/api/say/job", b'{"action": "ack"}'),
        ("/api/say/job", b"\xff"),
        ("/api/say/job", b""),
        ("/api/say/", b"{}"),
        ("/api/say/view", b"{}"),
        ("/api/say/job.cancel", b"{}"),
        ("/api/say/ack/", b"{}"),
        ("/api/say/ACK", b"{}"),
        ("/api/picture", b"{}"),
        ("/", b"{}"),
    ],
)
def test_what_is_in_no_table_changes_nothing(site: Site, path: str, body: bytes) -> None:
    """Even an engineer finds nothing there."""
    client, before = site.known("enno"), len(site.heard)
    assert client.post(path, content=body).status_code == 404
    assert len(site.heard) == before


def test_one_action_twice_in_a_body_is_read_as_the_page_reads_it(site: Site) -> None:
    """The last of two counts, here as in the decoder behind it."""
    client = site.known("otto")
    twice = b'{"action": "check_in", "action": "extend"}'
    assert needed("POST", "/api/say/job", twice) == "job.extend"
    assert client.post("/api/say/job", content=twice).status_code == 403


def test_session_fixation(site: Site) -> None:
    """A session id that somebody was given before signing in is not the one afterwards."""
    client = site.browser()
    client.cookies.set(site.gate.cookie, "attacker-knows-this", domain="127.0.0.1", path="/")
    done = client.post("/sign-in", data={"name": "otto", "password": PASSWORD})
    assert done.status_code == 303
    attacker = site.browser(cookie=f"{site.gate.cookie}=attacker-knows-this")
    assert attacker.get("/api/picture").status_code == 401
    first = site.signed_in("vera")
    stolen = site.stolen(first)
    assert first.post("/sign-in", data={"name": "vera", "password": PASSWORD}).status_code == 303
    assert stolen.get("/api/picture").status_code == 401


@pytest.mark.parametrize(
    "forged", ["", "x", "A" * 43, '"', "\\", "a" * 4_000, "é", "=;=", "andon_session"]
)
def test_forged_cookie(site: Site, forged: str) -> None:
    """What no sign-in gave out is nobody, whatever it looks like."""
    client = site.browser()
    cookie = f"{site.gate.cookie}={forged}".encode()
    found = client.get("/api/picture", headers=[(b"cookie", cookie)])
    assert found.status_code == 401


def test_ids_of_sessions_are_random_and_kept_as_hashes(site: Site) -> None:
    """256 bits, each once, and memory holds none of them."""
    user = site.accounts.named("vera")
    begun = [site.gate.sessions.begin(user) for _ in range(50)]
    assert len({name for name, _ in begun} | {who.token for _, who in begun}) == 100
    assert all(len(name) == 43 for name, _ in begun)
    kept = site.gate.sessions._sessions
    assert not [key for key in kept if any(name.encode() == key for name, _ in begun)]


@pytest.mark.parametrize("token", [None, "", "x", "other"])
def test_csrf_without_token(site: Site, token: str | None) -> None:
    """A cookie alone changes nothing; another session's token neither."""
    client, other = site.signed_in("otto"), site.signed_in("otto")
    del client.headers["x-andon-token"]
    if token is not None:
        given = other.headers["x-andon-token"] if token == "other" else token
        client.headers["x-andon-token"] = given
    before = len(site.heard)
    for path in ("/api/say/ack", "/sign-out", "/password"):
        assert client.post(path, json={}).status_code == 403
    # a token in a form is taken for one's own pages alone: forms reach further than scripts
    form = {"token": other.headers["x-andon-token"]}
    assert client.post("/api/say/ack", data=form).status_code == 403
    assert len(site.heard) == before
    assert client.get("/api/picture").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "https://127.0.0.1:{port}"},
        {"origin": "http://localhost:{port}"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": ""},
    ],
)
def test_cross_site_origin(site: Site, headers: dict[str, str]) -> None:
    """With cookie and token, from another page: nothing changes, and nobody is signed in by it."""
    client, before = site.known("otto"), len(site.heard)
    client.headers.update({k: v.format(port=site.port) for k, v in headers.items()})
    assert client.post("/api/say/ack", json={}).status_code == 403
    form = {"name": "vera", "password": PASSWORD}
    assert client.post("/sign-in", data=form).status_code == 403
    assert len(site.heard) == before


def test_nobody_says_which_page_asks(site: Site) -> None:
    """A change without Origin and Sec-Fetch-Site is refused; one of the two is enough."""
    client = site.known("otto")
    del client.headers["origin"]
    assert client.post("/api/say/ack", json={}).status_code == 403
    client.headers["sec-fetch-site"] = "same-origin"
    assert client.post("/api/say/ack", json={}).status_code == 200


def test_another_site_may_link_here_and_embed_nothing(site: Site) -> None:
    """Links open the page; images, scripts and fetches of other sites get nothing."""
    client = site.known("otto")
    opened = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    for told, code in (
        (opened, 200),
        ({"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, 403),
        ({"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, 403),
        ({"sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, 403),
    ):
        del client.headers["origin"]
        found = client.get("/", headers={"sec-fetch-site": "cross-site", **told})
        client.headers["origin"] = site.url
        assert found.status_code == code, told


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("127.0.0.1:{port}", True),
        ("localhost:{port}", True),
        ("LOCALHOST", True),
        ("panel7.plant.test:{port}", True),
        ("[::1]:{port}", True),
        ("192.0.2.7", True),
        ("evil.test", False),
        ("evil.test:{port}", False),
        ("127.0.0.1.evil.test", False),
        ("localhost.evil.test", False),
        ("localhost:{port}@evil.test", False),
        ("evil.test#127.0.0.1", False),
        ("[::1].evil.test", False),
        ("127.0.0.1:x", False),
        ("", False),
    ],
)
def test_dns_rebinding(site: Site, host: str, good: bool) -> None:  # noqa: FBT001 - a table
    """A name that was turned to this machine is not this page's name."""
    client = site.known("otto")
    name = host.format(port=site.port)
    del client.headers["origin"]
    assert client.get("/api/picture", headers={"host": name}).status_code == (200 if good else 421)


def test_dns_rebinding_reaches_no_open_page(tmp_path: Path) -> None:
    """On loopback without users the name is all that stands between a web site and commands."""
    with served(tmp_path, people=False) as site:
        client = site.browser()
        evil = {"host": f"evil.test:{site.port}", "origin": f"http://evil.test:{site.port}"}
        assert client.get("/api/session", headers=evil).status_code == 421
        assert client.post("/api/say/ack", json={}, headers=evil).status_code == 421
        assert site.heard == []


def test_oversize_bodies(site: Site) -> None:
    """Told or not, a large body is refused; one that fits comes through whole."""
    client, before = site.known("otto"), len(site.heard)
    large = b"x" * (BODY_BYTES_MAX + 1)
    assert client.post("/api/say/ack", content=large).status_code == 413
    chunks = (b"x" * 1_000 for _ in range(BODY_BYTES_MAX // 1_000 + 1))
    assert client.post("/api/say/ack", content=chunks).status_code == 413
    assert client.request("GET", "/", content=b"x").status_code == 400
    assert client.post("/sign-in", content=large).status_code == 413
    assert len(site.heard) == before
    whole = client.post("/api/say/ack", content=large[:-1])
    assert whole.json() == {"size": BODY_BYTES_MAX}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"])
def test_other_methods(site: Site, method: str) -> None:
    """None of them does anything here."""
    assert site.known("enno").request(method, "/api/say/ack").status_code == 405


def _raw(site: Site, request: bytes) -> bytes:
    """What the server says to bytes that no library would send."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as one:
        one.sendall(request)
        one.shutdown(socket.SHUT_WR)
        said = b""
        while part := one.recv(65_536):
            said += part
    return said


@pytest.mark.parametrize(
    "path", ["/static/../api/picture", "//api/picture", "/static/%2e%2e/", "/a%00b", "/a%5cb"]
)
def test_paths_that_go_round(site: Site, path: str) -> None:
    """What begins like something open and ends elsewhere is no path of the page."""
    said = _raw(site, f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.1 400")


def test_requests_that_are_read_in_two_ways(site: Site) -> None:
    """Two hosts, two lengths, a length and chunks: refused, by us or by the server."""
    for lines in (
        "host: localhost\r\nhost: evil.test\r\n",
        "host: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n",
        "host: localhost\r\ncontent-length: -1\r\n",
        "",
    ):
        said = _raw(site, f"GET / HTTP/1.1\r\n{lines}\r\n".encode())
        assert said[9:12] in (b"400", b"421"), (lines, said)


def test_nobody_is_told_by_a_header_who_asks(site: Site) -> None:
    """Attempts count by connection: X-Forwarded-For would be another address each time."""
    for n in range(3):
        client = site.browser(**{"x-forwarded-for": f"192.0.2.{n}"})
        client.post("/sign-in", data={"name": "nobody", "password": "wrong"})
    addresses = {key for kind, key in site.gate.attempts._failed if kind == "address"}
    assert addresses == {"127.0.0.1"}
    site.signed_in("otto")  # which forgets these failures


def test_every_answer_tells_browsers_what_not_to_do(site: Site) -> None:
    """Scripts and styles of ours alone, no frames, no guessing of types, nothing kept."""
    client = site.known("otto")
    found = [client.get(path) for path in ("/", "/api/picture", "/password", "/nothing")]
    found += [site.browser().get(path) for path in ("/sign-in", "/")]
    for answer in found:
        assert answer.headers["content-security-policy"] == CONTENT_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "server" not in answer.headers
    assert "unsafe" not in CONTENT_POLICY
    assert "frame-ancestors 'none'" in CONTENT_POLICY


def test_hostile_text_in_the_sign_in(site: Site) -> None:
    """What was typed comes back as text."""
    client = site.browser()
    hostile = '"><script>alert(1)</script>'
    done = client.post("/sign-in", data={"name": hostile, "password": "x", "next": hostile})
    assert "<script" not in done.text
    assert "&lt;script&gt;" in done.text
    asked = client.get("/sign-in", params={"next": f"/{hostile}"})
    assert "<script" not in asked.text


def test_the_cookie_is_bound_to_tls_where_there_is_tls(tmp_path: Path) -> None:
    """Its prefix makes browsers refuse it from anywhere else."""
    page = PageConfig(tls_cert_file="page.crt", tls_key_file="page.key")
    gate = Gate(page, Accounts(tmp_path / "users.json"), host="192.0.2.7")
    assert gate.secure
    assert gate.cookie.startswith("__Host-")
    assert gate.who("") is None
    gate.close()


def test_a_page_that_others_reach_needs_users(tmp_path: Path) -> None:
    """It refuses to listen without, warns without TLS, and says on loopback that it is open."""
    file = tmp_path / "users.json"
    with pytest.raises(ConfigError, match="andon users add"):
        check_access(PageConfig(), "192.0.2.7", users=False, users_file=file)
    (warned,) = check_access(PageConfig(), "192.0.2.7", users=True, users_file=file)
    assert "without TLS" in warned
    tls = PageConfig(tls_cert_file="a", tls_key_file="b")
    assert check_access(tls, "::", users=True, users_file=file) == []
    assert check_access(PageConfig(), "127.0.0.1", users=True, users_file=file) == []
    (said,) = check_access(PageConfig(), "::1", users=False, users_file=file)
    assert "nobody has to sign in" in said


def test_the_box_is_called_by_its_own_name_too() -> None:
    """Where others reach it; and by the address at which it listens."""
    names = host_names(PageConfig(), "panel.test")
    assert is_named("panel.test:8080", names)
    assert is_named(socket.gethostname(), names)
    assert not is_named(socket.gethostname() + ".evil.test", names)


def test_the_table_opens_no_more_than_the_sign_in() -> None:
    """Nothing of a plant, and no change, is open to everybody."""
    assert set(RIGHTS) == set(Role)
    assert [path for path in ("/", "/stream", "/api/x", "/staticx", "/sign-out", "/password")
            if is_open("GET", path)] == []  # fmt: skip
    assert is_open("POST", "/sign-in")
    assert not is_open("POST", "/static/x.js")
    assert not is_open("POST", "/sign-in.css")
