"""Why a connection failed, in words that say what is wrong, where, and what to do.

The words name the keys of the configuration; the options of commands have the same names.
"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.brokers.tls import reason_of, spans_of_files
from edge.caps import PLAUSIBLE_NS
from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.brokers.endpoint import Endpoint
    from edge.brokers.tls import Span, TlsFiles

PROBE_S_MAX: Final = 3.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a connection did not come about; refused: somebody is there and does not let us in."""

    cause: str
    refused: bool


# OpenSSL's verification codes (x509_vfy.h): what is wrong and what to do, by {ca}, {crl}, {name}.
_VERIFIED: Final[dict[int, str]] = {
    3: "{crl} has no list of the authority that signed the broker's certificate; add it to"
    " tls_crl_file",
    9: "the broker's certificate is not valid yet: renew it, or set the clock of this box",
    10: "the broker's certificate, or one of its chain, has expired: renew it, or set the clock of"
    " this box",
    11: "the revocation list {crl} is not valid yet: fetch it again, or set the clock of this box",
    12: "the revocation list {crl} has expired: fetch the newest one of the authority",
    18: "the broker's certificate is self-signed and not in tls_ca_file {ca}; whose it is must be"
    " known before it is added there",
    19: "the broker's certificate is of an authority that is not in tls_ca_file {ca}: this is"
    " another broker, or the file of another authority",
    20: "the broker's certificate is of an authority that is not in tls_ca_file {ca}: this is"
    " another broker, or the file of another authority",
    23: "the broker's certificate is revoked by {crl}: do not trust this broker until it has a new"
    " one",
    62: "the broker's certificate is not for {name}: this is another broker, or tls_server_name"
    " must say what the certificate names",
    64: "the broker's certificate is not for {name}: this is another broker, or tls_server_name"
    " must say what the certificate names",
}
_CLOCKED: Final = (9, 10, 11, 12)
_NOT_YET: Final = (9, 11)
_NEVER_SET: Final = (
    "the clock of this box was never set, so no certificate is valid yet: the broker's may be"
    " right; start a time service that needs no TLS, or set the clock"
)

# What the broker's alerts say of us (RFC 8446, 6.2), by parts of OpenSSL's reasons.
_ALERTED: Final[tuple[tuple[str, str], ...]] = (
    (
        "CERTIFICATE_REQUIRED",
        "the broker wants a certificate of ours: set tls_cert_file and tls_key_file",
    ),
    (
        "ALERT_CERTIFICATE_EXPIRED",
        "the broker says that our certificate {cert} has expired: renew it",
    ),
    (
        "ALERT_CERTIFICATE_REVOKED",
        "the broker says that our certificate {cert} is revoked: ask for a new one",
    ),
    (
        "ALERT_UNKNOWN_CA",
        "the broker does not know the authority of our certificate {cert}: take one of its own",
    ),
    ("ALERT_BAD_CERTIFICATE", "the broker does not take our certificate {cert}"),
    ("ALERT_UNSUPPORTED_CERTIFICATE", "the broker does not take our certificate {cert}"),
    ("ALERT_CERTIFICATE_UNKNOWN", "the broker does not take our certificate {cert}"),
    (
        "ALERT_PROTOCOL_VERSION",
        "the broker offers no TLS 1.2 or newer, and older ones are not safe: raise its tls_version",
    ),
    (
        "UNSUPPORTED_PROTOCOL",
        "the broker offers no TLS 1.2 or newer, and older ones are not safe: raise its tls_version",
    ),
    (
        "WRONG_VERSION_NUMBER",
        "what is there does not speak TLS: set the port of its TLS listener, often 8883",
    ),
)
_SILENT: Final = (
    "the handshake for TLS was cut off: a port without TLS does so (its TLS listener is often 8883)"
)


# What to do about an error of the system, by its number.
_NEXT: Final[dict[int, str]] = {
    errno.EHOSTUNREACH: "; mend host, or the network between here and the broker",
    errno.ENETUNREACH: "; mend host, or the network of this box",
    errno.ECONNRESET: "; look into the broker's log for why",
    errno.EMFILE: "; raise the limit of open files of this process (LimitNOFILE)",
    errno.ENFILE: "; raise this box's limit of open files (fs.file-max)",
    errno.EACCES: "; this box forbids it: look at its firewall, and at IPAddressAllow of the unit",
    errno.EPERM: "; this box forbids it: look at its firewall, and at IPAddressAllow of the unit",
}


class Reasons:
    """What became of each connection of one client, told by whoever sees it.

    failure: why there is none, as far as it is known. peer: until when the broker's certificate
    holds, as last seen. closed_by_broker: the last connection was one that it let in, and closed.
    """

    def __init__(
        self, endpoint: Endpoint, *, probe: Callable[[Endpoint], bool] = lambda _: False
    ) -> None:
        """probe: whether a port that hangs up speaks TLS."""
        self._endpoint, self._probe = endpoint, probe
        self._answered = False
        self._refusal: Failure | None = None  # the broker's own word
        self.lost: OSError | None = None
        self.failure: Failure | None = None
        self.closed_by_broker = False
        self.peer: Span | None = None

    @property
    def spans(self) -> list[Span]:
        """Until when what TLS rests on holds: the broker's certificate as last seen, our files."""
        if self._endpoint.tls is None:
            return []
        peer = [self.peer] if self.peer is not None else []
        return peer + spans_of_files(self._endpoint.tls)

    def opening(self) -> None:
        """A connection is tried."""
        self._answered = self.closed_by_broker = False
        self.lost = self._refusal = None

    def not_opened(self, error: Exception) -> None:
        """It did not come about."""
        self.failure = failure_of(error, self._endpoint.tls, host=self._endpoint.host)

    def answered(self, reason: Any) -> str:  # noqa: ANN401 - paho's ReasonCode
        """The broker has answered; returns why it refuses, "" for a welcome."""
        self._answered = True
        why = refused_because(str(reason), self._endpoint) if reason.is_failure else ""
        self._refusal = self.failure = Failure(why, refused=True) if why else None
        return why

    def ended(self, reason: Any) -> Failure | None:  # noqa: ANN401 - paho's ReasonCode
        """The connection has ended; returns why, None when it was our wish."""
        if reason is None or not reason.is_failure:
            return None
        if self._refusal is not None:
            self.failure = self._refusal
        elif str(reason) == "Keep alive timeout":
            said = f"no word from the broker for {self._endpoint.keepalive_s} s"
            self.failure = Failure(said, refused=False)
        elif self._answered:
            self.closed_by_broker = not isinstance(self.lost, TimeoutError)
            said = (self.lost.strerror or str(self.lost)) if self.lost is not None else ""
            self.failure = Failure(said or "the broker closed the connection", refused=False)
        else:
            tls, host = self._endpoint.tls, self._endpoint.host
            over_tls = tls is None and self._probe(self._endpoint)
            why = cut_off(self.lost, tls, host=host, over_tls=over_tls)
            self.failure = Failure(why, refused=True)
        return self.failure


def failure_of(error: Exception, files: TlsFiles | None, *, host: str) -> Failure:
    """Why a connection could not be made, in words that say what to do."""
    if isinstance(error, ConfigError):
        return Failure(str(error), refused=True)
    if isinstance(error, UnicodeError):
        return Failure(f"{host!r} is no name of a host; check host", refused=True)
    if files is not None and isinstance(error, ssl.SSLError):
        return Failure(_of_handshake(error, files, host), refused=True)
    if files is not None and isinstance(error, ConnectionResetError | BrokenPipeError):
        return Failure(_SILENT, refused=True)
    if isinstance(error, ConnectionRefusedError):
        said = "nothing listens there; start the broker, or mend host and port"
    elif isinstance(error, TimeoutError):
        said = "no answer; mend host and port, or what is between here and the broker"
    else:
        said = getattr(error, "strerror", "") or str(error) or type(error).__name__
        said += _next(error)
    return Failure(said, refused=False)


def _next(error: Exception) -> str:
    """What to do about an error of the system; "" where its own words are all that is known."""
    if isinstance(error, socket.gaierror):
        return "; mend host"
    return _NEXT.get(error.errno or 0, "") if isinstance(error, OSError) else ""


def _of_handshake(error: ssl.SSLError, files: TlsFiles, host: str) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return _alert(error, files, host)
    words = _VERIFIED.get(error.verify_code, f"TLS: {error.verify_message}")
    now_s = time.time()
    if error.verify_code in _NOT_YET and now_s * 1e9 < PLAUSIBLE_NS:
        words = _NEVER_SET
    clock = f" (it says {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(now_s))})"
    return _filled(words, files, host) + clock * (error.verify_code in _CLOCKED)


def cut_off(error: OSError | None, files: TlsFiles | None, *, host: str, over_tls: bool) -> str:
    """Why a connection ended before the broker had answered it."""
    if files is None:
        if over_tls:
            return "this port speaks TLS, and we do not: set tls_ca_file"
        return "it closes the connection without an answer; is it an MQTT broker?"
    if isinstance(error, ssl.SSLError):
        return _alert(error, files, host)
    hint = f"our certificate {files.cert}" if files.cert else "a client without a certificate"
    return (
        f"it closes the connection behind the handshake for TLS, as one does that refuses {hint}; "
        "set tls_cert_file and tls_key_file to one that it knows"
    )


def _alert(error: ssl.SSLError, files: TlsFiles, host: str) -> str:
    reason = str(error.reason or error)
    for part, words in _ALERTED:
        if part in reason.upper():
            return _filled(words, files, host)
    if isinstance(error, ssl.SSLEOFError) or "EOF" in reason.upper():
        return _SILENT
    if "HANDSHAKE_FAILURE" in reason.upper():
        if not files.cert:
            return _filled(_ALERTED[0][1], files, host)
        return "the broker and we have no cipher or kind of key in common (handshake failure)"
    return f"TLS: {reason_of(error)}"


def _filled(words: str, files: TlsFiles, host: str) -> str:
    name = files.server_name or host
    return words.format(ca=files.ca, crl=files.crl, cert=files.cert or "(none)", name=name)


def refused_because(reason: str, endpoint: Endpoint) -> str:
    """The broker's own refusal, with what to look at."""
    if reason in ("Not authorized", "Bad user name or password"):
        if not endpoint.username and (endpoint.tls is None or not endpoint.tls.cert):
            return f"refused: {reason}: it wants a user; set username and password_file"
        who = f"user {endpoint.username!r}" if endpoint.username else "the name in our certificate"
        return f"refused: {reason}: {who} or the password is not known there; check both"
    if reason == "Client identifier not valid":
        return f"refused: {reason}: it does not take client_id {endpoint.client_id!r}"
    return f"refused: {reason}"


def speaks_tls(endpoint: Endpoint) -> bool:
    """Whether a port that closes on MQTT takes part in a handshake; nothing of ours is told."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only whether: nothing is sent over it
    try:
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout=PROBE_S_MAX) as plain,
            context.wrap_socket(plain),
        ):
            return True
    except ssl.SSLEOFError:
        return False
    except ssl.SSLError as error:  # an alert is TLS too
        return "ALERT" in str(error.reason or "").upper()
    except (OSError, UnicodeError):
        return False
