"""Signing in by a directory: a real slapd, over TLS, and what it must never be asked."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import pytest
from typer.testing import CliRunner

import andon
from edge.checks.brokers import broker_findings
from edge.configuration.config import GatewayConfig
from edge.configuration.sections import LdapConfig, PageConfig
from edge.errors import ConfigError
from edge.page.access import check_access
from edge.page.attempts import OF_ADDRESS, OF_USER, Attempts
from edge.page.directory import AT_ONCE, Directory, DirectoryError
from edge.page.roles import Role
from tests.edge import page_site, slapd
from tests.edge.page_site import served
from tests.edge.slapd import GROUPS, MEMBERS, PASSWORD, PEOPLE, SERVICE, SERVICE_PASSWORD, Slapd
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.page.accounts import User

    class Way(Protocol):
        """Makes settings, some of them others than usual."""

        def __call__(self, server: Slapd, **more: object) -> dict[str, Any]:
            """Return settings."""
            ...


ROLES: Final = {
    "viewer": [slapd.group("lookers").upper()],
    "operator": [f"cn=line\\2c  one , {GROUPS}"],
    "engineer": [slapd.group("engineers")],
}
ODD: Final = [name for name in MEMBERS if not name.isalpha()]

needs_ldap3 = pytest.mark.skipif(
    importlib.util.find_spec("ldap3") is None, reason="needs ldap3, the extra andon[ldap]"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A directory with people in it; tests leave them as they are."""
    if missing := slapd.missing():
        pytest.skip(f"needs {missing}, which is not installed")
    one = Slapd(tmp_path_factory.mktemp("slapd"))
    one.start()
    try:
        one.fill()
        (one.at / "secret").write_text(f"{SERVICE_PASSWORD}\n")
        (one.at / "secret").chmod(0o600)
        yield one
    finally:
        one.stop()


def by_template(server: Slapd, **more: object) -> dict[str, Any]:
    """Settings: the name becomes a DN, groups are asked for."""
    return {
        "url": f"ldaps://127.0.0.1:{server.tls}",
        "ca_file": str(server.at / "ca.pem"),
        "user_dn": f"uid={{user}},{PEOPLE}",
        "group_base_dn": GROUPS,
        **ROLES,
        **more,
    }


def by_search(server: Slapd, **more: object) -> dict[str, Any]:
    """Settings: an account of ours searches, groups stand at the entry; StartTLS."""
    return {
        "url": f"ldap://127.0.0.1:{server.plain}",
        "start_tls": True,
        "ca_file": str(server.at / "ca.pem"),
        "base_dn": PEOPLE,
        "bind_dn": SERVICE,
        "bind_password_file": str(server.at / "secret"),
        **ROLES,
        **more,
    }


WAYS: Final = [by_template, by_search]


def asked(settings: dict[str, Any], base: Path, name: str, password: str) -> User | str:
    """What a directory says, once."""
    directory = Directory(msgspec.convert(settings, LdapConfig), base)
    try:
        return asyncio.run(directory.asked(name, password))
    finally:
        directory.close()


@needs_ldap3
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("typed", "name", "role"),
    [
        ("vera", "vera", Role.VIEWER),
        ("otto", "otto", Role.OPERATOR),
        ("enno", "enno", Role.ENGINEER),
        ("OTTO", "otto", Role.OPERATOR),  # it is asked as who it is, whatever was typed
        *((odd, odd, Role.VIEWER) for odd in ODD),
    ],
)
def test_people_get_the_role_of_their_groups(
    server: Slapd,
    way: Way,
    typed: str,
    name: str,
    role: Role,
) -> None:
    """The highest of them, under the name that the directory has, however odd it is."""
    found = asked(way(server), server.at, typed, PASSWORD)
    assert not isinstance(found, str), found
    assert (found.name, found.role) == (name, role)


@needs_ldap3
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "name", ["*", "vera*", "a)(uid=*)", "*)(uid=vera", "vera)(|(uid=*", f"vera,{PEOPLE}", "ver\\61"]
)
def test_no_name_means_more_than_itself(server: Slapd, way: Way, name: str) -> None:
    """Each would be somebody if it were not escaped; the password is one that is right."""
    assert isinstance(asked(way(server), server.at, name, PASSWORD), str)


@needs_ldap3
@pytest.mark.parametrize("way", WAYS)
def test_wrong_passwords_and_people_of_no_group_are_refused(server: Slapd, way: Way) -> None:
    """The reason is for the log."""
    assert "invalidCredentials" in str(asked(way(server), server.at, "vera", "wrong"))
    assert asked(way(server), server.at, "nora", PASSWORD) == "of no group that has a role"


@needs_ldap3
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("password", ["", "\0"])
def test_an_empty_password_is_never_sent(server: Slapd, way: Way, password: str) -> None:
    """The server would say yes; it is not even connected to, and another password is."""
    before = server.told("ACCEPT")
    assert isinstance(asked(way(server), server.at, "vera", password), str)
    assert server.told("ACCEPT") == before
    asked(way(server), server.at, "vera", "x")
    assert server.told("ACCEPT") == before + 1


@needs_ldap3
@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_of_another_authority_or_name_is_refused(
    server: Slapd,
    way: Way,
    tmp_path: Path,
) -> None:
    """Before anybody's password is sent: no bind reaches the server."""
    slapd.authority(tmp_path, "other")
    before = server.told("BIND dn=")
    with pytest.raises(DirectoryError, match=r"(?i)certificate") as told:
        asked(way(server, ca_file=str(tmp_path / "other.pem")), server.at, "vera", PASSWORD)
    assert not told.value.sent
    settings = way(server)
    settings["url"] = settings["url"].replace("127.0.0.1", "localhost")
    with pytest.raises(DirectoryError, match=r"(?i)certificate|hostname"):
        asked(settings, server.at, "vera", PASSWORD)
    assert server.told("BIND dn=") == before


@needs_ldap3
def test_our_own_account_with_a_wrong_password_is_trouble_of_the_directory(
    server: Slapd, tmp_path: Path
) -> None:
    """Not of whoever signs in; and a secret that others can read is none."""
    secret = tmp_path / "secret"
    secret.write_text("wrong")
    secret.chmod(0o600)
    settings = by_search(server, bind_password_file=str(secret))
    with pytest.raises(DirectoryError, match="bind_password_file") as told:
        asked(settings, server.at, "vera", PASSWORD)
    assert not told.value.sent
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        asked(settings, server.at, "vera", PASSWORD)
    secret.chmod(0o600)
    secret.write_text("\n")
    with pytest.raises(ConfigError, match="empty"):
        asked(settings, server.at, "vera", PASSWORD)


@needs_ldap3
@pytest.mark.parametrize(("begun", "drip"), [(b"", b""), (b"\x30\x84\x00\xff\xff\xff", b"\0")])
def test_a_directory_that_hangs_is_given_up(tmp_path: Path, begun: bytes, drip: bytes) -> None:
    """In time also where it sends a byte now and then; its thread ends too."""
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def hang() -> None:
        connected, _ = listening.accept()
        with connected:
            connected.sendall(begun)  # the head of an answer of 16 MB
            while not over.wait(0.05):
                try:
                    connected.sendall(drip)
                except OSError:
                    return

    thread = threading.Thread(target=hang, daemon=True)
    thread.start()
    settings = {
        "url": f"ldap://127.0.0.1:{listening.getsockname()[1]}",
        "user_dn": "uid={user}",
        "viewer": ["cn=a"],
        "timeout_s": 0.5,
    }
    directory = Directory(msgspec.convert(settings, LdapConfig), tmp_path)
    try:
        with pytest.raises(DirectoryError) as told:
            asyncio.run(directory.asked("vera", PASSWORD))
        assert told.value.sent
        wait_until(lambda: directory._free._value == AT_ONCE, what="the end of the thread")
    finally:
        over.set()
        thread.join(20)
        listening.close()


@needs_ldap3
def test_the_page_lets_people_of_the_directory_in(
    server: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With their role; those of its own file are never asked of the directory."""
    caplog.set_level(logging.DEBUG)
    with served(tmp_path, people=False, ldap=by_search(server)) as site:
        assert site.browser().get("/api/session").status_code == 401  # not open, though no users
        client = site.signed_in("otto", PASSWORD)
        assert client.get("/api/session").json()["role"] == "operator"
        token = client.headers["x-andon-token"]
        form = {"token": token, "password": PASSWORD, "new": "x" * 12, "again": "x" * 12}
        assert client.post("/password", data=form).status_code == 409
        for name, password in (("nora", PASSWORD), ("vera", "wrong"), ("vera", "")):
            done = site.browser().post("/sign-in", data={"name": name, "password": password})
            assert done.status_code == 403
        site.accounts.add("otto", Role.VIEWER, page_site.PASSWORD)
        assert client.get("/api/picture").status_code == 401  # the name is the file's now
        before = server.told("ACCEPT")
        for name in ("otto", "OTTO"):
            done = site.browser().post("/sign-in", data={"name": name, "password": PASSWORD})
            assert done.status_code == 403
        assert server.told("ACCEPT") == before
    assert PASSWORD not in caplog.text
    told = [r.fields for r in caplog.records if r.getMessage() == "sign_in_failed"]  # type: ignore[attr-defined]
    assert "of no group that has a role" in [fields.get("why") for fields in told]


@needs_ldap3
def test_guessing_is_slowed_whatever_case_a_name_is_typed_in(server: Slapd, tmp_path: Path) -> None:
    """As for users of the file."""
    with served(tmp_path, people=False, ldap=by_search(server)) as site:
        client = site.browser()
        form = {"name": "vera", "password": "wrong"}
        codes = [client.post("/sign-in", data=form).status_code for _ in range(OF_ADDRESS)]
        assert codes == [403] * OF_ADDRESS
        before = server.told("ACCEPT")
        again = client.post("/sign-in", data={"name": "VERA", "password": PASSWORD})
        assert again.status_code == 429
        assert server.told("ACCEPT") == before


@needs_ldap3
@pytest.mark.not_counted
def test_without_the_directory_the_users_of_the_file_sign_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The page says what is down; so many tries of others lock nobody out."""
    settings = {
        "url": f"ldap://127.0.0.1:{slapd.free_port()}",
        "user_dn": "uid={user}",
        "viewer": ["cn=a"],
    }
    with served(tmp_path, ldap=settings) as site:
        client = site.browser()
        form = {"name": "olga", "password": PASSWORD}
        for _ in range(OF_ADDRESS + 2):
            done = client.post("/sign-in", data=form)
            assert done.status_code == 503
            assert "directory cannot be asked" in done.text
        assert site.signed_in("enno").get("/api/session").json()["role"] == "engineer"
    assert [r for r in caplog.records if r.getMessage() == "directory_down"]


def test_what_a_directory_did_not_answer_counts_for_that_name_alone() -> None:
    """And only where it may have seen the password: then it counts too."""
    attempts = Attempts(page_site.Clock())
    for sent, most in ((False, 10 * OF_USER), (True, OF_USER)):
        for _ in range(most):
            assert attempts.begin("olga", "desk") == 0.0
            attempts.untried("olga", "desk", sent=sent)
    assert attempts.begin("olga", "desk") > 0.0
    assert attempts.begin("enno", "desk") == 0.0


@needs_ldap3
def test_a_name_is_tried_without_the_page(server: Slapd, tmp_path: Path) -> None:
    """Role or reason, as the log of the page would have it."""
    config, secret = tmp_path / "gateway.toml", tmp_path / "typed"
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in by_search(server).items())
    config.write_text(f'site = "s"\n[model]\nbundle = "b"\n[page.ldap]\n{table}\n')
    secret.write_text(PASSWORD)
    option = ("--config", str(config), "--password-file", str(secret))
    for name, code, said in (("ENNO", 0, "enno signs in as engineer"), ("nora", 1, "of no group")):
        done = CliRunner().invoke(andon.app, ["users", "try", name, *option])
        assert (done.exit_code, said in done.output) == (code, True), done.output


def test_a_page_without_the_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its start, not at the first sign-in."""
    monkeypatch.setitem(sys.modules, "ldap3", None)
    settings = LdapConfig(url="ldaps://dc.plant.test", user_dn="uid={user}", viewer=("cn=a",))
    with pytest.raises(ConfigError, match=r"pip install 'andon\[ldap\]'"):
        Directory(settings, tmp_path)


GOOD: Final = {"url": "ldaps://dc.plant.test", "user_dn": "uid={user}", "viewer": ["cn=a"]}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": "ldap://dc.plant.test"}, "readable"),
        ({"url": "ldap://192.0.2.7:389"}, "readable"),
        ({"url": "http://dc.plant.test"}, "expected ldaps"),
        ({"url": "ldaps://dc.plant.test/dc=x"}, "expected ldaps"),
        ({"url": "ldaps://x:y@dc.plant.test"}, "expected ldaps"),
        ({"start_tls": True}, "encrypted already"),
        ({"timeout_s": 0.1}, "timeout_s"),
        ({"base_dn": "dc=x"}, "either user_dn"),
        ({"user_dn": ""}, "either user_dn"),
        ({"user_dn": "uid=user"}, "expected {user}"),
        ({"user_dn": "", "base_dn": "dc=x"}, "bind_password_file"),
        ({"bind_dn": "cn=x"}, "does nothing"),
        ({"group_base_dn": "dc=x", "group_filter": "(member=x)"}, "group_filter"),
        ({"viewer": []}, "no group has a role"),
    ],
)
def test_settings_of_a_directory_that_cannot_be(wrong: dict[str, Any], said: str) -> None:
    """Plain text leaves no other machine's way, and what does nothing is told."""
    msgspec.convert(GOOD, LdapConfig)
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(GOOD | wrong, LdapConfig)


def test_check_names_a_secret_that_others_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for those of brokers, which are not waited for here; once it is closed, no word of it."""
    monkeypatch.setattr("edge.checks.brokers._connection", lambda *_: iter(()))
    secret = tmp_path / "ldap.secret"
    secret.write_text("x")
    table = GOOD | {"user_dn": "", "base_dn": "dc=x", "bind_dn": "cn=x"}
    table["bind_password_file"] = secret.name
    config = {"site": "s", "base": str(tmp_path), "page": {"ldap": table}}
    for mode, told in ((0o644, 1), (0o600, 0)):
        secret.chmod(mode)
        found = list(broker_findings(msgspec.convert(config, GatewayConfig)))
        said = [detail for what, _, detail in found if what == "secret"]
        assert len(said) == told
        assert all("[page.ldap]" in one and "chmod 600" in one for one in said)


def test_a_page_that_only_a_directory_lets_in_warns(tmp_path: Path) -> None:
    """It may be reached from elsewhere; when the directory is down nobody gets in."""
    page = msgspec.convert({"ldap": GOOD}, PageConfig)
    said = check_access(page, "192.0.2.7", users=False, users_file=tmp_path / "users.json")
    assert len(said) == 2
    assert "users.json has no users" in said[0]
    assert "without TLS" in said[1]
    assert check_access(page, "127.0.0.1", users=True, users_file=tmp_path / "users.json") == []
