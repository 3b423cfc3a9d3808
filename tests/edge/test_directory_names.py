"""Names of people inside filters and DNs of a directory: whatever is typed stays one value."""

from __future__ import annotations

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ConfigError
from edge.page.directory_names import dn_parts, escaped, filled


@given(st.text())
def test_an_escaped_text_is_one_value(text: str) -> None:
    """Nothing that a filter or a DN gives a meaning to is left, and the bytes are all there."""
    made = escaped(text)
    assert not set(made) & set('*()\0,+"<>;=# \n')
    raw = made.encode("ascii")
    back, i = bytearray(), 0
    while i < len(raw):
        if raw[i] == ord("\\"):
            back.append(int(raw[i + 1 : i + 3], 16))
            i += 3
        else:
            back.append(raw[i])
            i += 1
    assert bytes(back) == text.encode("utf-8", "replace")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(alphabet='\\,+=;"{}user dn'))
def test_a_name_stays_within_its_rdn(name: str, other: str) -> None:
    """A DN that a name is put into has as many parts as before, and the rest of it stays."""
    for typed in (name, other):
        parts = dn_parts(filled("uid={user},ou=people,dc=plant", user=typed))
        assert parts[1:] == dn_parts("ou=people,dc=plant")
        assert parts[0] == {("uid", " ".join(typed.split()).casefold())}


@pytest.mark.skipif(
    importlib.util.find_spec("ldap3") is None, reason="needs ldap3, the extra andon[ldap]"
)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_ldap3_reads_a_filter_as_it_is_meant(name: str) -> None:
    """What goes over the wire is the name, byte by byte, as the value of one equality."""
    from ldap3.operation.search import compile_filter, parse_filter  # noqa: PLC0415 - an extra

    made = filled("(uid={user})", user=name)
    read = parse_filter(
        made, None, auto_escape=True, auto_encode=True, validator=None, check_names=False
    )
    (only,) = read.elements
    sent = compile_filter(only)["equalityMatch"]
    assert bytes(sent["assertionValue"]) == name.encode()


@pytest.mark.parametrize(
    "dn", ["cn", "cn=a,", "=a", "cn=a\\", "cn=a,b", "cn=a,,dc=b", "c n=a", "cn=a+"]
)
def test_what_is_no_dn_is_told(dn: str) -> None:
    """A group that nobody could be of."""
    with pytest.raises(ConfigError, match="no name of a directory"):
        dn_parts(dn)


def test_spellings_of_one_dn_are_equal() -> None:
    """Case, blanks, escapes, and the order of an RDN's pairs do not count; the values do."""
    one = dn_parts("CN=Line\\, One+ou=A, DC=Plant;dc=test")
    assert one == dn_parts("ou=a+cn=line\\2C  one ,dc=plant,dc=test")
    assert one != dn_parts("ou=a+cn=line one,dc=plant,dc=test")
    assert dn_parts("cn=\\c3\\b6") == dn_parts("cn=Ö")
