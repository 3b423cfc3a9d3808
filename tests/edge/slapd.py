"""A real slapd on free ports of the loopback, with a small tree and certificates of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Final

from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin"
TOOLS: Final = ("slapd", "ldapadd", "openssl")
BASE: Final = "dc=plant,dc=test"
PEOPLE: Final = f"ou=people,{BASE}"
GROUPS: Final = f"ou=groups,{BASE}"
ROOT_DN: Final = f"cn=root,{BASE}"
ROOT_PASSWORD: Final = "the root of this tree"
SERVICE: Final = f"cn=andon,{BASE}"
SERVICE_PASSWORD: Final = "only for searching"
PASSWORD: Final = "nine blue valves"
# Names, and groups of each; the odd ones are people too, and nobody else may become them.
MEMBERS: Final = {
    "vera": ("lookers",),
    "otto": ("line, one", "lookers"),
    "enno": ("line, one", "engineers"),
    "nora": (),
    "a)(uid=*": ("lookers",),
    'Ömer, "x" <y>;=\\': ("lookers",),
}
CONFIG: Final = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {at}/pid
TLSCACertificateFile {at}/ca.pem
TLSCertificateFile {at}/server.pem
TLSCertificateKeyFile {at}/server.key
database mdb
suffix "{base}"
rootdn "{root}"
rootpw "{password}"
directory {at}/db
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
"""


def missing() -> str:
    """What of it is not installed; "" for nothing."""
    return ", ".join(tool for tool in TOOLS if shutil.which(tool, path=PATH) is None)


def free_port() -> int:
    """A port of the loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def escaped_dn(text: str) -> str:
    """As people write it: a backslash before what has a meaning. Ours writes hex instead."""
    return "".join(f"\\{one}" if one in ',+"\\<>;=' else one for one in text)


def dn_of(name: str) -> str:
    """The DN of a person."""
    return f"uid={escaped_dn(name)},{PEOPLE}"


def group(name: str) -> str:
    """The DN of a group."""
    return f"cn={escaped_dn(name)},{GROUPS}"


def authority(at: Path, name: str) -> None:
    """A certificate authority, in `NAME.pem` and `NAME.key`."""
    _run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "2", "-subj", f"/CN={name} of this test"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-keyout", at / f"{name}.key", "-out", at / f"{name}.pem"),
    )


def certificate(at: Path, ca: str, names: str) -> None:
    """The server's certificate for names such as `IP:127.0.0.1`, in `server.pem`."""
    (at / "names").write_text(f"subjectAltName={names}\n")
    _run(
        *("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-subj", "/CN=slapd", "-keyout", at / "server.key", "-out", at / "csr"),
    )
    _run(
        *("openssl", "x509", "-req", "-days", "2", "-in", at / "csr", "-CA", at / f"{ca}.pem"),
        *("-CAkey", at / f"{ca}.key", "-extfile", at / "names", "-out", at / "server.pem"),
    )


class Slapd:
    """One server; it is in memory what its log says."""

    def __init__(self, at: Path) -> None:
        """at: a directory of its own."""
        self.at, self.log = at, at / "log"
        self.plain, self.tls = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        (at / "db").mkdir()
        authority(at, "ca")
        certificate(at, "ca", "IP:127.0.0.1")
        text = CONFIG.format(at=at, base=BASE, root=ROOT_DN, password=ROOT_PASSWORD)
        (at / "slapd.conf").write_text(text)

    def start(self) -> None:
        """Start it; returns when it answers."""
        found = shutil.which("slapd", path=PATH)
        assert found is not None
        urls = f"ldap://127.0.0.1:{self.plain}/ ldaps://127.0.0.1:{self.tls}/"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [found, "-f", self.at / "slapd.conf", "-h", urls, "-d", "stats"],
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, what="slapd")

    def fill(self) -> None:
        """People and groups; the server keeps `memberOf` of them."""
        _run(
            *("ldapadd", "-x", "-H", f"ldap://127.0.0.1:{self.plain}", "-D", ROOT_DN),
            *("-w", ROOT_PASSWORD),
            given=_tree(),
        )

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20.0)
            self._process = None

    def told(self, what: str) -> int:
        """How many lines of the log have a text."""
        return sum(what in line for line in self.log.read_text(errors="replace").splitlines())

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text(errors="replace")[-2000:]
        return all(_open(port) for port in (self.plain, self.tls))


def _open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _tree() -> str:
    secret = f"objectClass: simpleSecurityObject\ncn: andon\nuserPassword: {SERVICE_PASSWORD}"
    entries = [
        f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: plant\ndc: plant",
        *(
            f"dn: {dn}\nobjectClass: organizationalUnit\nou: {dn[3:].partition(',')[0]}"
            for dn in (PEOPLE, GROUPS)
        ),
        f"dn: {SERVICE}\nobjectClass: applicationProcess\n{secret}",
        *(
            f"dn: {dn_of(name)}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: x\n"
            f"userPassword: {PASSWORD}"
            for name in MEMBERS
        ),
    ]
    names = sorted({one for groups in MEMBERS.values() for one in groups})
    for name in names:
        members = [dn_of(who) for who, groups in MEMBERS.items() if name in groups]
        lines = "\n".join(f"member: {member}" for member in members)
        entries.append(f"dn: {group(name)}\nobjectClass: groupOfNames\ncn: {name}\n{lines}")
    return "\n\n".join(entries) + "\n"


def _run(*command: object, given: str = "") -> None:
    done = subprocess.run(
        [str(part) for part in command],
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
