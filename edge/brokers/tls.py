"""TLS: files to a context, and until when certificates and revocation lists hold.

Whoever cannot be verified is not talked to: there is no switch that turns this off.
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.audit.signatures import certificate_span, list_span
from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

DAY_S: Final = 86_400.0
WARN_DAYS: Final = 21.0  # two weeks of holidays and one to renew
WARN_SHARE: Final = 1 / 3  # of what lives shorter than a few months: left when it should be renewed


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Paths (PEM), "" for none; `server_name` is who the certificate must name, "": the host."""

    ca: str
    cert: str = ""
    key: str = ""
    key_password: str = ""
    crl: str = ""
    server_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From when until when something holds, s since 1970, and who has to do what before."""

    what: str
    begin_s: float
    end_s: float
    todo: str

    def days_left(self, now_s: float) -> float:
        """Days until it ends; negative afterwards."""
        return (self.end_s - now_s) / DAY_S

    def trouble(self, now_s: float) -> str:
        """What is wrong with it now or soon, and what to do; "" for nothing."""
        day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.end_s))
        if now_s < self.begin_s - DAY_S:  # of a clock that is not set
            first, says = (
                time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(s)) for s in (self.begin_s, now_s)
            )
            return (
                f"{self.what} holds from {first} on, and the clock of this box says {says}: set it"
            )
        if now_s >= self.end_s:
            return f"{self.what} ended on {day}: {self.todo}"
        warn_s = min(WARN_DAYS * DAY_S, WARN_SHARE * (self.end_s - self.begin_s))
        if self.end_s - now_s < warn_s:
            return f"{self.what} ends on {day}: {self.todo}"
        return ""


def context_of(files: TlsFiles) -> ssl.SSLContext:
    """A context of the files as they are now: TLS 1.2 or newer, chain and name verified.

    With a revocation list every certificate of the chain is looked up, and one whose authority has
    no list there is refused. Raises ConfigError naming key and file.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(
        "tls_ca_file", files.ca, "certificates of authorities (PEM)", context.load_verify_locations
    )
    if files.crl:
        _load("tls_crl_file", files.crl, "revocation lists (PEM)", context.load_verify_locations)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
    if files.cert:
        _load_own(context, files)
    return context


def _read(key: str, path: str, expected: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{key} {path}: {error.strerror}; expected {expected}") from error


def _load(key: str, path: str, expected: str, load: Callable[[str], None]) -> None:
    _read(key, path, expected)
    try:
        load(path)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"{key} {path}: {reason_of(error)}; expected {expected}") from error


def _load_own(context: ssl.SSLContext, files: TlsFiles) -> None:
    key_file = files.key or files.cert
    _read("tls_cert_file", files.cert, "our certificate (PEM)")
    _read("tls_key_file", key_file, "its private key (PEM)")
    secret = b""
    if files.key_password:
        found = _read("tls_key_password_file", files.key_password, "the password of the key")
        secret = found.rstrip(b"\r\n")
    asked = []

    def password() -> bytes:  # else OpenSSL would ask on the terminal
        asked.append(True)
        return secret

    try:
        context.load_cert_chain(files.cert, files.key or None, password=password)
    except (ssl.SSLError, OSError, ValueError) as error:
        if asked:
            wrong = "the password is wrong" if secret else "it has a password"
            hint = "tls_key_password_file must name the file that holds it"
            raise ConfigError(f"tls_key_file {key_file}: {wrong}; {hint}") from error
        if "KEY_VALUES_MISMATCH" in str(error):
            hint = f"is not the key of {files.cert}; give the two that were made together"
            raise ConfigError(f"tls_key_file {key_file} {hint}") from error
        expected = "our certificate and its private key (PEM)"
        raise ConfigError(
            f"tls_cert_file {files.cert}, tls_key_file {key_file}: {reason_of(error)}; "
            f"expected {expected}"
        ) from error


def reason_of(error: OSError | ValueError) -> str:
    """The library's own reason, readable."""
    reason = getattr(error, "reason", None)
    text = reason if isinstance(reason, str) else getattr(error, "strerror", None) or str(error)
    return str(text).replace("_", " ").lower()


# --- until when ---


def span_of_peer(certificate: dict[str, Any] | None) -> Span | None:
    """Until when the broker's certificate holds, from what the handshake verified."""
    if not certificate:
        return None
    return Span(
        what="the broker's certificate",
        begin_s=float(ssl.cert_time_to_seconds(str(certificate["notBefore"]))),
        end_s=float(ssl.cert_time_to_seconds(str(certificate["notAfter"]))),
        todo="renew it on the broker, or nobody gets in",
    )


def spans_of_files(files: TlsFiles) -> list[Span]:
    """Until when our own certificate and the revocation lists hold; what cannot be read is left."""
    found = []
    for path, what, todo, read in (
        (files.cert, "our certificate", "renew the file; it is read anew", certificate_span),
        (files.crl, "the revocation list", "fetch the newest one; it is read anew", list_span),
    ):
        span = _span_of(path, read) if path else None
        if span is not None:
            found.append(
                Span(what=f"{what} {path}", begin_s=span[0], end_s=span[1], todo=f"{todo}")
            )
    return found


def _span_of(
    path: str, read: Callable[[bytes], tuple[float, float] | None]
) -> tuple[float, float] | None:
    try:
        stat = Path(path).stat()
        return _parsed(path, stat.st_mtime_ns, stat.st_size, read)
    except OSError:
        return None


@lru_cache(maxsize=16)
def _parsed(
    path: str,
    _mtime_ns: int,
    _size_bytes: int,
    read: Callable[[bytes], tuple[float, float] | None],
) -> tuple[float, float] | None:
    """Read once for each state of the file: this is asked every second."""
    return read(Path(path).read_bytes())
