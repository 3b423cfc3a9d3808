"""Signing in on the page: who gets in, for how long, and what the users file says of it."""

from __future__ import annotations

import json
import logging
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from edge.errors import ConfigError
from edge.page.accounts import USERS_MAX, Accounts
from edge.page.attempts import OF_ADDRESS, OF_ALL, OF_USER, REMEMBERED, WINDOW_S, Attempts
from edge.page.passwords import matches
from edge.page.roles import Role
from tests.edge.page_site import PASSWORD, PEOPLE, Clock, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.edge.page_site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A page with a viewer, an operator and an engineer; tests leave them as they are."""
    with served(tmp_path_factory.mktemp("site")) as found:
        yield found


def test_the_users_file_is_its_owners_alone_and_holds_no_password(tmp_path: Path) -> None:
    """Hashes have salts of their own, and the file is replaced as a whole."""
    accounts = Accounts(tmp_path / "users.json")
    accounts.add("ann", Role.OPERATOR, PASSWORD)
    accounts.add("bea", Role.VIEWER, PASSWORD)
    text = accounts.path.read_text()
    assert stat.S_IMODE(accounts.path.stat().st_mode) == 0o600
    assert PASSWORD not in text
    hashes = [user["hash"] for user in json.loads(text)["users"]]
    assert len(set(hashes)) == 2
    assert all(one.startswith("$argon2id$v=19$m=65536,t=3,p=4$") for one in hashes)
    assert accounts.verified("ann", PASSWORD) == accounts.named("ann")
    assert accounts.verified("ann", PASSWORD + " ") is None
    assert accounts.verified("eve", PASSWORD) is None


def test_a_password_typed_on_another_keyboard_is_the_same(tmp_path: Path) -> None:
    """An umlaut of one character and one of two are the same letter."""
    accounts = Accounts(tmp_path / "users.json")
    accounts.add("ann", Role.OPERATOR, "gr\u00fcne Pumpen 7")
    assert accounts.verified("ann", "gru\u0308ne Pumpen 7") is not None


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#", " ann", "a\nb", "x" * 65])
def test_a_user_is_a_level_of_a_topic(tmp_path: Path, name: str) -> None:
    """Any other could not send a command, or would send one of somebody else."""
    with pytest.raises(ConfigError, match="operator of"):
        Accounts(tmp_path / "users.json").add(name, Role.OPERATOR, PASSWORD)


@pytest.mark.parametrize("password", ["short", "x" * 1025, "annabella1"])
def test_poor_passwords_are_refused(tmp_path: Path, password: str) -> None:
    """Too short, too long, little more than the name; and nothing is written."""
    with pytest.raises(ConfigError, match="password of annabella"):
        Accounts(tmp_path / "users.json").add("annabella", Role.OPERATOR, password)
    assert not (tmp_path / "users.json").exists()


def test_changes_of_users_that_cannot_be_are_told(tmp_path: Path) -> None:
    """Twice the same, nobody of that name, somebody else writing."""
    accounts = Accounts(tmp_path / "users.json")
    accounts.add("ann", Role.OPERATOR, PASSWORD)
    with pytest.raises(ConfigError, match="already"):
        accounts.add("ann", Role.VIEWER, PASSWORD)
    with pytest.raises(ConfigError, match=r"no user 'an'.*ann"):
        accounts.remove("an")
    with accounts._changing(), pytest.raises(ConfigError, match="somebody else"):
        Accounts(accounts.path).set_role("ann", Role.ENGINEER)
    Accounts(accounts.path).set_role("ann", Role.ENGINEER)
    assert accounts.named("ann").role is Role.ENGINEER


def _file(**wrong: str) -> str:
    user = {"name": "a", "role": "viewer", "hash": "", "stamp": "", **wrong}
    return json.dumps({"version": 1, "users": [user]})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "add the users anew"),
        ('{"version": 2}', "version 2"),
        (_file(name="a/b"), "operator of"),
        (_file(role="god"), "god"),
        (_file(hash="x"), "no argon2id"),
        (_file(hash="$argon2id$v=19$m=4194304,t=3,p=4$c29tZXNhbHQxMjM0$" + "A" * 22), "4194304"),
        (f"{{{' ' * (1 << 20)}}}", "larger than"),
    ],
)
def test_a_users_file_that_is_none_is_refused_with_words(
    tmp_path: Path, content: str, said: str
) -> None:
    """Nothing of it counts; a hash that would take all memory is not even tried."""
    path = tmp_path / "users.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=said):
        Accounts(path).users()
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        Accounts(path).users()


def test_there_are_not_more_users_than_may_be(tmp_path: Path) -> None:
    """A file that somebody made by hand, too."""
    accounts = Accounts(tmp_path / "users.json")
    accounts.add("u", Role.VIEWER, PASSWORD)
    one = json.loads(accounts.path.read_text())["users"][0]
    many = [{**one, "name": f"u{n}"} for n in range(USERS_MAX)]
    accounts.path.write_text(json.dumps({"version": 1, "users": many}))
    with pytest.raises(ConfigError, match="as many as may be"):
        accounts.add("v", Role.VIEWER, PASSWORD)


def test_signing_in_and_out(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The page asks, lets in, says who one is, and after signing out the old cookie is nothing."""
    caplog.set_level(logging.INFO, "andon.page")
    client = site.browser(accept="text/html")
    asked = client.get("/?x=1")
    assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in?next=/")
    form = client.get("/sign-in", params={"next": "/api/picture"})
    assert 'value="/api/picture"' in form.text
    done = client.post(
        "/sign-in", data={"name": "otto", "password": PASSWORD, "next": "/api/picture"}
    )
    assert done.headers["location"] == "/api/picture"
    cookie = done.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/"))
    assert client.get("/api/picture").json() == {"user": "otto"}
    session = client.get("/api/session").json()
    assert (session["user"], session["role"], session["open"]) == ("otto", "operator", False)
    stolen = site.stolen(client)
    assert stolen.get("/api/picture").json() == {"user": "otto"}
    client.post("/sign-out", data={"token": session["token"]})
    assert stolen.get("/api/picture").status_code == 401
    told = [(r.getMessage(), r.fields["user"]) for r in caplog.records if hasattr(r, "fields")]
    assert ("signed_in", "otto") in told
    assert ("signed_out", "otto") in told
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(
    "after", ["//evil.test", "https://evil.test", "/\\evil.test", "evil", "/sign-in", "/a\tb"]
)
def test_signing_in_leads_nowhere_else(site: Site, after: str) -> None:
    """A link to the sign-in cannot send anybody to another page."""
    client = site.browser()
    done = client.post("/sign-in", data={"name": "vera", "password": PASSWORD, "next": after})
    assert done.headers["location"] == "/"


def test_wrong_names_and_wrong_passwords_look_the_same(site: Site) -> None:
    """Nobody learns which names there are."""
    texts = {
        (found.status_code, found.text.replace(name, "NAME"))
        for name in ("otto", "nobody")
        for found in [site.browser().post("/sign-in", data={"name": name, "password": "wrong"})]
    }
    assert len(texts) == 1
    assert next(iter(texts))[0] == 403


def test_who_is_not_known_costs_as_much_as_who_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hash of the same cost is computed either way."""
    accounts = Accounts(tmp_path / "users.json")
    accounts.add("ann", Role.OPERATOR, PASSWORD)
    hashes: list[str] = []

    def noted(stored: str, password: str) -> bool:
        hashes.append(stored.rpartition("$")[0].rpartition("$")[0])
        return matches(stored, password)

    monkeypatch.setattr("edge.page.accounts.matches", noted)
    accounts.verified("ann", "wrong")
    accounts.verified("eve", "wrong")
    assert len(hashes) == 2
    assert len(set(hashes)) == 1


@pytest.mark.not_counted
def test_sessions_end_idle_old_and_by_the_file(tmp_path: Path) -> None:
    """Whoever leaves, stays all day, gets another role or password, or is removed, is out."""
    with served(tmp_path, idle_minutes=30, session_hours=12) as site:
        client = site.signed_in("otto")
        site.clock.now_s += 29 * 60
        assert client.get("/api/picture").status_code == 200
        site.clock.now_s += 30 * 60
        assert client.get("/api/picture").status_code == 401
        client = site.signed_in("otto")
        for _ in range(12 * 4 - 1):
            site.clock.now_s += 15 * 60
            assert client.get("/api/picture").status_code == 200
        site.clock.now_s += 15 * 60
        assert client.get("/api/picture").status_code == 401
        changes: list[Callable[[], None]] = [
            lambda: site.accounts.set_role("otto", Role.VIEWER),
            lambda: site.accounts.set_password("otto", PASSWORD),
            lambda: site.accounts.remove("otto"),
        ]
        for change in changes:
            client = site.signed_in("otto")
            change()
            assert client.get("/api/picture").status_code == 401
        site.accounts.path.chmod(0o644)
        assert site.browser().get("/api/picture").status_code == 503


def test_a_stream_keeps_its_session_and_ends_with_it(tmp_path: Path) -> None:
    """A page on a wall is in use; when its user is removed it hears nothing more."""
    ticks = threading.Event()
    with served(tmp_path, ticks=ticks, idle_minutes=30) as site:
        client = site.signed_in("vera")
        with client.stream("GET", "/stream") as answer:
            lines = answer.iter_lines()
            assert next(lines) == "data: 0"
            for _ in range(3):
                site.clock.now_s += 29 * 60
                ticks.set()
                assert "data: 1" in (next(lines), next(lines))
            assert client.get("/api/picture").status_code == 200
            site.accounts.remove("vera")
            ticks.set()
            assert "data: 1" not in list(lines)


def test_ones_own_password(tmp_path: Path) -> None:
    """The old one is asked for, all other sessions end, and this one goes on under a new id."""
    with served(tmp_path) as site:
        client, other = site.signed_in("otto"), site.signed_in("otto")
        before = site.stolen(client)
        token = client.headers["x-andon-token"]
        assert token in client.get("/password").text
        form = {"password": PASSWORD, "new": "eight grey pumps", "again": "eight grey pumps"}
        assert client.post("/password", data={**form, "password": "wrong"}).status_code == 403
        assert client.post("/password", data={**form, "again": "nine"}).status_code == 400
        short = client.post("/password", data={**form, "new": "<b>", "again": "<b>"})
        assert short.status_code == 400
        assert client.post("/password", data=form).status_code == 303
        assert client.get("/api/picture").status_code == 200
        assert other.get("/api/picture").status_code == 401
        assert before.get("/api/picture").status_code == 401
        assert site.accounts.verified("otto", "eight grey pumps") is not None


def test_nobody_signs_in_where_there_are_no_users(tmp_path: Path) -> None:
    """On loopback the page is open until there is a user; commands carry a token all the same."""
    with served(tmp_path, people=False, user="desk") as site:
        client = site.browser()
        session = client.get("/api/session").json()
        assert (session["user"], session["role"], session["open"]) == ("desk", "engineer", True)
        assert client.post("/api/say/ack", json={}).status_code == 403
        done = client.post("/api/say/ack", json={}, headers={"x-andon-token": session["token"]})
        assert done.status_code == 200
        assert site.heard == [("desk", "engineer", "ack")]
        assert client.post("/password", data={"token": session["token"]}).status_code == 409
        site.accounts.add("ann", Role.VIEWER, PASSWORD)
        assert client.get("/api/session").status_code == 401


def test_sessions_of_one_user_are_few(tmp_path: Path) -> None:
    """The one that was not used for longest ends."""
    with served(tmp_path, people=False) as site:
        site.accounts.add("ann", Role.VIEWER, PASSWORD)
        user = site.accounts.named("ann")
        ids = [site.gate.sessions.begin(user)[0] for _ in range(11)]
        known = [site.gate.sessions.of(one, lambda *_: True) is not None for one in ids]
        assert known == [False, *[True] * 10]


# --- attempts ---


def test_attempts_by_address_end_with_their_window() -> None:
    """So many failures from one address, whoever is tried; later it may try again."""
    clock = Clock()
    attempts = Attempts(clock)
    assert all(attempts.begin(f"u{n}", "a") == 0.0 for n in range(OF_ADDRESS))
    assert attempts.begin("v", "a") == WINDOW_S
    assert attempts.begin("v", "b") == 0.0
    clock.now_s += WINDOW_S
    assert attempts.begin("v", "a") == 0.0


def test_a_user_is_tried_from_many_addresses_and_not_locked_out() -> None:
    """Guessing from everywhere stops, and where the user was before, the user gets in."""
    attempts = Attempts(Clock())
    assert attempts.begin("ann", "home") == 0.0
    attempts.succeeded("ann", "home")
    tried = [attempts.begin("ann", f"a{n}") for n in range(OF_USER + 5)]
    assert tried.count(0.0) == OF_USER
    assert attempts.begin("ann", "home") == 0.0


def test_attempts_altogether_and_their_memory_are_bounded() -> None:
    """However many names and addresses there are."""
    clock = Clock()
    attempts = Attempts(clock)
    tried = [attempts.begin(f"u{n}", f"a{n}") for n in range(OF_ALL + 10)]
    assert tried.count(0.0) == OF_ALL
    for n in range(REMEMBERED):
        clock.now_s += WINDOW_S / OF_ALL
        attempts.begin(f"w{n}", f"b{n}")
        attempts.succeeded(f"w{n}", f"b{n}")
    assert len(attempts) <= 2 * REMEMBERED


def test_brute_force_is_slowed_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After ten failures even the right password waits; the log says from where, not what."""
    with served(tmp_path, people=False) as site:
        site.accounts.add("ann", Role.ENGINEER, PASSWORD)
        client = site.browser()
        codes = [
            client.post("/sign-in", data={"name": "ann", "password": f"guess{n}"}).status_code
            for n in range(OF_ADDRESS)
        ]
        assert codes == [403] * OF_ADDRESS
        last = client.post("/sign-in", data={"name": "ann", "password": PASSWORD})
        assert last.status_code == 429
        assert int(last.headers["retry-after"]) > 0
        told = [
            r for r in caplog.records if r.getMessage() in ("sign_in_failed", "sign_in_refused")
        ]
        assert len(told) == OF_ADDRESS + 1
        assert all(r.fields["address"] == "127.0.0.1" for r in told)  # type: ignore[attr-defined]
        assert "guess" not in caplog.text
        site.clock.now_s += WINDOW_S
        assert site.signed_in("ann").get("/api/picture").json() == {"user": "ann"}


def test_everybody_of_the_table_gets_in(site: Site) -> None:
    """As what the file says."""
    for name, role in PEOPLE.items():
        assert site.signed_in(name).get("/api/session").json()["role"] == role
