"""`andon users`: who may sign in, from the command line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import andon
from edge.errors import ConfigError
from edge.page.accounts import Accounts
from edge.page.roles import Role

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


def called(*arguments: str, typed: str = "") -> Result:
    """Call the command line in this process."""
    return CliRunner().invoke(andon.app, ["users", *arguments], input=typed)


def test_users_are_added_listed_changed_and_removed(tmp_path: Path) -> None:
    """The password is asked for twice and not shown, or comes from a file."""
    config, secret = tmp_path / "gateway.toml", tmp_path / "secret"
    config.write_text('site = "s"\n[model]\nbundle = "b"\n[page]\nusers_file = "kept/users.json"\n')
    secret.write_text("nine grey pumps\n")
    option = ("--config", str(config))
    assert "no users" in called("list", *option).output
    typed = "eight grey pumps\n"
    added = called("add", "ann", "--role", "engineer", *option, typed=typed * 2)
    assert added.exit_code == 0, added.output
    assert "grey" not in added.output
    assert called("add", "bea", *option, typed=typed + "else\n").exit_code != 0
    accounts = Accounts(tmp_path / "kept" / "users.json")
    assert set(accounts.users()) == {"ann"}
    assert called("password", "ann", *option, "--password-file", str(secret)).exit_code == 0
    assert accounts.verified("ann", "nine grey pumps") is not None
    assert called("role", "ann", "--role", "viewer", *option).exit_code == 0
    assert accounts.named("ann").role is Role.VIEWER
    listed = called("list", *option).output
    assert "ann" in listed
    assert "viewer" in listed
    assert called("remove", "ann", *option).exit_code == 0
    assert not accounts.users()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which gives files to others")
def test_what_root_adds_belongs_to_whoever_the_folder_belongs_to(tmp_path: Path) -> None:
    """As under systemd: the page reads its users, and changes a password there."""
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o700)
    os.chown(kept, 65534, 65534)
    Accounts(kept / "users.json").add("ann", Role.OPERATOR, "nine grey pumps")
    there = {
        path.name: (path.stat().st_uid, path.stat().st_mode & 0o777) for path in kept.iterdir()
    }
    assert there == {"users.json": (65534, 0o600), "users.json.lock": (65534, 0o600)}


def test_a_directory_is_listed_and_without_local_users_what_that_means(tmp_path: Path) -> None:
    """Nobody takes the page for open."""
    config = tmp_path / "gateway.toml"
    table = (
        '[page.ldap]\nurl = "ldaps://dc.plant.test"\nuser_dn = "uid={user}"\nviewer = ["cn=a"]\n'
    )
    config.write_text(f'site = "s"\n[model]\nbundle = "b"\n{table}')
    listed = called("list", "--config", str(config)).output
    assert "ldaps://dc.plant.test" in listed
    assert "nobody signs in while the directory is down" in listed
    assert "nobody has to sign in" not in listed


def test_a_password_is_tried_without_the_page(tmp_path: Path) -> None:
    """A role, or why not; with a directory that is not there, that."""
    config, secret = tmp_path / "gateway.toml", tmp_path / "secret"
    config.write_text('site = "s"\n[model]\nbundle = "b"\n')
    secret.write_text("nine grey pumps\n")
    Accounts(tmp_path / "users.json").add("ann", Role.OPERATOR, "nine grey pumps")
    option = ("--config", str(config), "--password-file", str(secret))
    good = called("try", "ann", *option)
    assert good.exit_code == 0
    assert "ann signs in as operator" in good.output
    for name, typed, why in (("ann", "wrong", "password is another"), ("eve", "x", "no such user")):
        bad = called("try", name, "--config", str(config), typed=f"{typed}\n")
        assert bad.exit_code == 1
        assert why in bad.output


def test_no_option_takes_a_password(tmp_path: Path) -> None:
    """Others on the machine see what is on a command line; and mistakes are told."""
    config = tmp_path / "gateway.toml"
    config.write_text('site = "s"\n[model]\nbundle = "b"\n')
    option = ("--config", str(config))
    refused = called("add", "ann", "--password", "eight grey pumps", *option)
    assert refused.exit_code == 2
    refused = called("password", "ann", *option, typed="x\n")
    assert isinstance(refused.exception, ConfigError)
    assert "no user 'ann'" in str(refused.exception)


@pytest.mark.parametrize(
    "wrong", ['tls_cert_file = "a"', "idle_minutes = 0", "session_hours = 999", 'user = "a/b"']
)
def test_settings_of_the_page_that_cannot_be(tmp_path: Path, wrong: str) -> None:
    """Each is refused where it is read."""
    config = tmp_path / "gateway.toml"
    config.write_text(f'site = "s"\n[model]\nbundle = "b"\n[page]\n{wrong}\n')
    found = called("list", "--config", str(config))
    assert isinstance(found.exception, ConfigError)
    assert wrong.split(" ", maxsplit=1)[0] in str(found.exception)
