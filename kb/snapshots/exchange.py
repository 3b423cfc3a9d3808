"""Put a finished directory in its place in one step."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from kb.errors import KnowledgeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_UNSUPPORTED: Final = (errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EOPNOTSUPP)


LOCK_S_MAX: Final = 120.0  # another build may take so long


@contextmanager
def alone(directory: Path, *, wait_s_max: float = LOCK_S_MAX) -> Iterator[None]:
    """Nobody else publishes into a directory meanwhile; a process that dies lets go of it.

    Raises KnowledgeError when somebody else does not end, OSError when there is no such directory.
    """
    handle = os.open(directory, os.O_RDONLY)
    try:
        deadline_s = time.monotonic() + wait_s_max
        while not _locked(handle):
            if time.monotonic() > deadline_s:
                raise KnowledgeError(
                    f"{directory}: another process has been publishing there for"
                    f" {wait_s_max:.0f} s; look at it, then try again"
                )
            time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def replace_directory(made: Path, out: Path) -> None:
    """Rename `made` to `out`, on the same file system; what stood at `out` is at `made` afterwards.

    A reader finds the old or the new directory at every moment; on file systems that cannot
    exchange two names, `out` is absent for an instant. Raises OSError.
    """
    assert made.parent.resolve() == out.parent.resolve()
    made.chmod(0o755)  # temporary directories are for their owner only
    _sync(made)
    if not out.exists():
        made.rename(out)
    elif not _exchanged(made, out):
        aside = out.with_name(f"{made.name}.old")
        out.rename(aside)
        made.rename(out)
        aside.rename(made)
    _sync(out.parent)


def _exchanged(a: Path, b: Path) -> bool:
    """Whether the two names were swapped; False where the system cannot."""
    if sys.platform != "linux":
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE)
    if done == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(b))


def _sync(directory: Path) -> None:
    """Make the names in a directory last."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
