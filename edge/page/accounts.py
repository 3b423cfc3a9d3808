"""The users file of the page: who may sign in, as what, and the hash of each password.

JSON, readable by its owner alone, replaced as a whole. It is read again when it has changed, so
that a password that was taken away counts at once.
"""

from __future__ import annotations

import json
import secrets
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from edge.configuration.words import hint
from edge.errors import UNREADABLE, ConfigError
from edge.page.passwords import check_hash, check_password, hashed, matches, nobodys
from edge.page.roles import Role
from edge.storage.disk import DISK, write_whole
from edge.wire.topics import is_asset_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edge.storage.disk import Disk

VERSION: Final = 1
USERS_MAX: Final = 1_000
FILE_BYTES_MAX: Final = 1 << 20
PERMISSIONS: Final = 0o600


class User(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One user. name: the operator of `cmd/{operator}/...`; stamp: another with every change."""

    name: str
    role: Role
    hash: str
    stamp: str


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file holds."""

    version: int
    users: tuple[User, ...] = ()


class Accounts:
    """Users by name, as their file has them now."""

    def __init__(self, path: Path, *, disk: Disk = DISK) -> None:
        """A file that is not there has no users."""
        self.path = path
        self._disk = disk
        self._seen: tuple[int, int, int] | None = None
        self._users: dict[str, User] = {}

    def users(self) -> Mapping[str, User]:
        """All users. Raises ConfigError for a file that others can read, or that is none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._seen, self._users = None, {}
            return self._users
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}; it holds the users") from error
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                f"{self.path}: others may read or change it, and it holds hashes of passwords;"
                f" set it right with `chmod 600 {self.path}`"
            )
        seen = (status.st_mtime_ns, status.st_ino, status.st_size)
        if seen != self._seen:
            self._users = self._read()
            self._seen = seen
        return self._users

    def named(self, name: str) -> User:
        """A user by name. Raises ConfigError where there is none."""
        users = self.users()
        if name not in users:
            near = hint(name, sorted(users))
            raise ConfigError(f"{self.path}: there is no user {name!r}{near}")
        return users[name]

    def add(self, name: str, role: Role, password: str) -> None:
        """Add a user. Raises ConfigError for a name that is taken or no level of a topic."""
        check_name(name)
        check_password(password, name=name)
        with self._changing() as users:
            if name in users:
                raise ConfigError(
                    f"{self.path}: there is a user {name!r} already; change it with `andon users"
                    " password`, or remove it first"
                )
            if len(users) >= USERS_MAX:
                raise ConfigError(f"{self.path}: it has {USERS_MAX} users, as many as may be")
            users[name] = User(name=name, role=role, hash=hashed(password), stamp=_stamp())

    def remove(self, name: str) -> None:
        """Remove a user, which ends the user's sessions. Raises ConfigError where there is none."""
        with self._changing() as users:
            del users[self.named(name).name]

    def set_password(self, name: str, password: str) -> None:
        """Another password, which ends the user's sessions. Raises ConfigError."""
        check_password(password, name=name)
        with self._changing() as users:
            was = self.named(name)
            users[name] = User(name=name, role=was.role, hash=hashed(password), stamp=_stamp())

    def set_role(self, name: str, role: Role) -> None:
        """Another role, which ends the user's sessions. Raises ConfigError."""
        with self._changing() as users:
            users[name] = msgspec.structs.replace(self.named(name), role=role, stamp=_stamp())

    def verified(self, name: str, password: str) -> User | None:
        """The user whose password this is; None: nobody. Takes as long where there is no user."""
        user = self.users().get(name)
        right = matches(nobodys() if user is None else user.hash, password)
        return user if right else None

    def has_users(self) -> bool:
        """Whether anybody could sign in."""
        return bool(self.users())

    def has(self, name: str) -> bool:
        """Whether there is a user of this name."""
        return name in self.users()

    def claims(self, name: str) -> bool:
        """Whether there is a user of this name, in whichever case: a directory knows no case."""
        return any(known.casefold() == name.casefold() for known in self.users())

    def stands(self, name: str, stamp: str) -> bool:
        """Whether nothing was changed of a user since somebody signed in."""
        user = self.users().get(name)
        return user is not None and user.stamp == stamp

    def _read(self) -> dict[str, User]:
        try:
            content = self.path.read_bytes()
            if len(content) > FILE_BYTES_MAX:
                raise ConfigError(f"{self.path}: larger than {FILE_BYTES_MAX} B, no users file")
            file = msgspec.json.decode(content, type=_File)
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}; it holds the users") from error
        except UNREADABLE as error:
            raise ConfigError(
                f"{self.path}: {error}; expected what `andon users add` writes; take a copy back,"
                " or move it aside and add the users anew"
            ) from error
        if file.version != VERSION:
            raise ConfigError(
                f"{self.path}: version {file.version}, this Andon reads version {VERSION}"
            )
        for user in file.users:
            check_name(user.name)
            check_hash(user.hash, f"{self.path}: user {user.name}")
        users = {user.name: user for user in file.users}
        if len(users) < len(file.users) or len(users) > USERS_MAX:
            raise ConfigError(f"{self.path}: a user comes twice, or there are over {USERS_MAX}")
        return users

    @contextmanager
    def _changing(self) -> Iterator[dict[str, User]]:
        """The users as they are now, alone; what is done to them is written when it is done."""
        try:
            self._disk.make_directory(self.path.parent)
            beside = self.path.with_name(f"{self.path.name}.lock")
            with self._disk.open(beside, "ab", permissions=PERMISSIONS) as lock:
                self._disk.give(lock, self.path.parent)
            held = self._disk.lock(beside)
        except BlockingIOError as error:
            raise ConfigError(
                f"{self.path}: somebody else is changing it; try again in a moment"
            ) from error
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}; it holds the users") from error
        try:
            users = dict(self.users())
            yield users
            self._write(users)
        finally:
            held.close()

    def _write(self, users: Mapping[str, User]) -> None:
        """Replace the file; whoever reads it sees all of it, old or new."""
        listed = [msgspec.to_builtins(users[name]) for name in sorted(users)]
        text = json.dumps({"version": VERSION, "users": listed}, indent=2, ensure_ascii=False)
        work = self.path.with_name(f"{self.path.name}.new")
        try:
            work.unlink(missing_ok=True)
            with self._disk.open(work, "xb", permissions=PERMISSIONS) as file:
                self._disk.give(file, self.path.parent)
                write_whole(self._disk, file, text.encode() + b"\n")
                self._disk.sync(file)
            self._disk.replace(work, self.path)
            self._disk.sync_directory(self.path.parent)
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}; nothing was changed") from error


def check_name(name: str) -> None:
    """Raise ConfigError for a name that is no level of a topic."""
    if not is_asset_id(name):
        raise ConfigError(
            f"user {name!r}: expected a name of at most 64 characters without / + # or blanks at"
            " its ends: it is the operator of `cmd/{operator}/...`"
        )


def _stamp() -> str:
    return secrets.token_hex(8)
