"""Why a connection failed: the words send nobody to mend what is not broken."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from edge.brokers.failures import failure_of


def said(number: int) -> str:
    """Of an error of the system, by its number."""
    return failure_of(OSError(number, os.strerror(number)), None, host="b").cause


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH])
def test_a_host_that_cannot_be_reached_is_to_be_mended(number: int) -> None:
    """So is a name that nobody knows."""
    assert "; mend host" in said(number)
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert failure_of(unknown, None, host="b").cause == "Name or service not known; mend host"


@pytest.mark.parametrize(
    ("number", "then"),
    [
        (errno.EMFILE, "LimitNOFILE"),
        (errno.ENFILE, "fs.file-max"),
        (errno.ECONNRESET, "the broker's log"),
        (errno.EPERM, "IPAddressAllow"),
        (errno.EACCES, "IPAddressAllow"),
        (errno.ENOBUFS, os.strerror(errno.ENOBUFS)),
    ],
    ids=lambda value: errno.errorcode.get(value, "") if isinstance(value, int) else "",
)
def test_what_is_no_fault_of_the_host_says_what_it_is(number: int, then: str) -> None:
    """The system's words, and what to do where that is known."""
    assert "mend host" not in said(number)
    assert said(number).startswith(os.strerror(number))
    assert then in said(number)
