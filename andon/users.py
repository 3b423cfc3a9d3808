"""Commands about who may sign in on the operator page."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from andon.options import console

if TYPE_CHECKING:
    from edge.page.accounts import Accounts

Config = Annotated[Path, typer.Option(help="gateway.toml", exists=True)]
Name = Annotated[str, typer.Argument(help="Name of the user, and operator of its commands.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="File with the password, in one line; else it is asked for.", exists=True),
]


class _Role(StrEnum):
    """Roles, as options have them."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"


Roles = Annotated[_Role, typer.Option(help="What the user may do.")]


def _accounts(config: Path) -> Accounts:
    from edge.configuration.config import load
    from edge.page.accounts import Accounts

    settings = load(config)
    return Accounts(settings.path(settings.page.users_file))


def _password(file: Path | None, name: str) -> str:
    """From a file, or asked for without showing it; never from the command line."""
    if file is not None:
        from edge.configuration.config import read_secret

        return read_secret(file)
    asked: str = typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True)
    return asked


def users_add(
    name: Name, config: Config, role: Roles = _Role.OPERATOR, password_file: PasswordFile = None
) -> None:
    """Add a user, and ask for the password.

    Example: `andon users add ann --role operator --config gateway.toml`
    """
    from edge.page.roles import Role

    accounts = _accounts(config)
    accounts.add(name, Role(role), _password(password_file, name))
    typer.echo(f"{accounts.path}: {name} may sign in as {role}")


def users_list(config: Config) -> None:
    """List who may sign in, and as what.

    Example: `andon users list --config gateway.toml`
    """
    from rich.table import Table

    from edge.configuration.config import load
    from edge.logs import shown
    from edge.page.roles import RIGHTS

    accounts, ldap = _accounts(config), load(config).page.ldap
    users = accounts.users()
    if ldap is not None:
        typer.echo(f"{ldap.url}: members of its mapped groups sign in too, as [page.ldap] says")
    if not users:
        alone = "on 127.0.0.1 nobody has to sign in"
        down = "nobody signs in while the directory is down"
        typer.echo(f"{accounts.path}: no users; {alone if ldap is None else down}")
        return
    table = Table("name", "role", "may")
    for name in sorted(users):
        table.add_row(shown(name), users[name].role, ", ".join(sorted(RIGHTS[users[name].role])))
    console().print(table)


def users_try(name: Name, config: Config, password_file: PasswordFile = None) -> None:
    """Ask for a password, and say as what it would sign in, or why not. Exit code 1: not.

    The users file goes first, then the directory of [page.ldap], which counts a wrong password.

    Example: `andon users try ann --config gateway.toml`
    """
    import asyncio

    from edge.configuration.config import load, read_secret
    from edge.page.directory import Directory

    settings = load(config)
    accounts, ldap = _accounts(config), settings.page.ldap
    if password_file is not None:
        password = read_secret(password_file)
    else:
        password = typer.prompt(f"Password of {name}", hide_input=True)
    user = accounts.verified(name, password)
    if user is not None:
        typer.echo(f"{accounts.path}: {user.name} signs in as {user.role}")
        return
    if accounts.claims(name) or ldap is None:
        known = "the password is another" if accounts.has(name) else "there is no such user"
        typer.echo(f"{accounts.path}: {name} does not sign in: {known}")
        raise typer.Exit(1)
    directory = Directory(ldap, settings.path(""))
    try:
        found = asyncio.run(directory.asked(name, password))
    finally:
        directory.close()
    if isinstance(found, str) or accounts.claims(found.name):
        why = found if isinstance(found, str) else "the users file has a user of that name"
        typer.echo(f"{ldap.url}: {name} does not sign in: {why}")
        raise typer.Exit(1)
    typer.echo(f"{ldap.url}: {found.name} signs in as {found.role}")


def users_remove(name: Name, config: Config) -> None:
    """Remove a user; sessions of the user end at once.

    Example: `andon users remove ann --config gateway.toml`
    """
    accounts = _accounts(config)
    accounts.remove(name)
    typer.echo(f"{accounts.path}: {name} is gone")


def users_password(name: Name, config: Config, password_file: PasswordFile = None) -> None:
    """Set another password; sessions of the user end at once.

    Example: `andon users password ann --config gateway.toml`
    """
    accounts = _accounts(config)
    accounts.named(name)
    accounts.set_password(name, _password(password_file, name))
    typer.echo(f"{accounts.path}: {name} has another password")


def users_role(name: Name, role: Roles, config: Config) -> None:
    """Give a user another role; sessions of the user end at once.

    Example: `andon users role ann --role engineer --config gateway.toml`
    """
    from edge.page.roles import Role

    accounts = _accounts(config)
    accounts.set_role(name, Role(role))
    typer.echo(f"{accounts.path}: {name} may sign in as {role}")
