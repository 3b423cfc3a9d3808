"""Configuration: every mistake names the file, the key and the nearest one that exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.configuration.config import GatewayConfig, effective, load, need_bundle, password
from edge.errors import ConfigError
from edge.settings import EngineSettings, samples_in

if TYPE_CHECKING:
    from pathlib import Path

SPARKPLUG = '[[source]]\nformat = "sparkplug"\ntopic = "{}"'
LEAST = 'site = "s"\n[model]\nbundle = "b"\n'


def write(tmp_path: Path, text: str) -> Path:
    """Write a configuration file."""
    path = tmp_path / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    return path


def read(tmp_path: Path, text: str, **environment: str) -> GatewayConfig:
    """Write and load one."""
    return load(write(tmp_path, text), environment=environment)


def complaint(tmp_path: Path, text: str, **environment: str) -> str:
    """Return the message with which one is refused; it always names the file."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, **environment)
    assert str(tmp_path) in str(caught.value) or str(caught.value).startswith("ANDON__")
    return str(caught.value)


def test_the_least_configuration_has_all_defaults(tmp_path: Path) -> None:
    """A site and a bundle are enough."""
    config = read(tmp_path, LEAST)
    assert config.settings.engine == EngineSettings()
    assert config.mqtt.port == 1883
    assert config.path("x") == tmp_path / "x"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("site = ", ["not TOML"]),
        ('site = "s"', ["model"]),
        ('[model]\nbundle = "b"', ["site"]),
        (LEAST + "[mqtt]\nprot = 1", ["prot", "at [mqtt]", "did you mean port?"]),
        (LEAST + '[mqtt]\npassword = "hush"', ["password", "did you mean password_file?"]),
        (LEAST + '[mqtt]\nport = "1883"', ["at [mqtt] port", "int"]),
        (LEAST + "[mqtt]\nport = 70000", ["[mqtt] port", "70000", "65535"]),
        (LEAST + '[mqtt]\nclient_id = ""', ["client_id"]),
        (
            LEAST + "[journal]\nbytes_max = 1000000",
            ["1000000 bytes", "64 MiB (67108864) to 1024 TiB"],
        ),
        (LEAST + "[mqtt.output]\nprot = 1", ["prot", "did you mean port?"]),
        (LEAST + '[mqtt.output]\nclient_id = ""', ["[mqtt.output] client_id"]),
        (LEAST + "[mqtt.output]\nport = 0", ["[mqtt.output] port", "65535"]),
        (LEAST + "[mqtt.output]\nport = 1883", ["[mqtt.output] is the broker of [mqtt]"]),
        (LEAST + "[mqtt.output]\nqueue_messages_max = 1", ["queue_messages_max"]),
        (LEAST + '[mqtt]\ntls_cert = "c"', ["tls_cert", "did you mean tls_cert_file?"]),
        (LEAST + '[mqtt]\ntls_cert_file = "c"', ["without tls_ca_file", "plain text"]),
        (LEAST + '[mqtt]\ntls_crl_file = "c"', ["without tls_ca_file"]),
        (LEAST + '[mqtt]\ntls_server_name = "c"', ["without tls_ca_file"]),
        (
            LEAST + '[mqtt]\ntls_ca_file = "c"\ntls_key_file = "k"',
            ["tls_key_file without tls_cert_file"],
        ),
        (LEAST + "[mqtt]\nqueue_messages_max = 0", ["queue_messages_max"]),
        (LEAST + "[engine]\ntick-ms = 1", ["tick-ms", "did you mean tick_ms?"]),
        (LEAST + "[engine]\ntick_ms = 0", ["[engine] tick_ms"]),
        (LEAST + "[engine]\nlate_ms_max = -1", ["[engine] late_ms_max", "-1"]),
        (LEAST + "[engine]\nfuse_s = 99999", ["[engine] fuse_s", "14400"]),
        (LEAST + "[engine]\nsettle_s = 901", ["[engine] settle_s", "900"]),
        (LEAST + "[jurnal]\n", ["jurnal", "did you mean journal?"]),
        (LEAST + "[zzzzzzzz]\n", ["zzzzzzzz", "known are"]),
        (LEAST + '[[asset]]\nid = "a"\nsafty = []', ["safty", "did you mean safety?"]),
        (LEAST + '[[asset]]\nid = "a"\n[[asset]]\nid = "a"', ["'a'", "twice"]),
        (LEAST + '[[asset]]\nid = "a/b"', ["a/b"]),
        (LEAST + '[[asset]]\nid = "a"\nseverity = 0', ["severity"]),
        (LEAST + '[[asset]]\nid = "a"\ntags = {x = "c", y = "c"}', ["'c'", "two tags"]),
        (LEAST + '[asset]\nid = "a"', ["asset"]),
        (
            LEAST + '[[asset]]\nid = "a"\n[[asset]]\nid = "b"\nseverity = "x"',
            ["[[asset]] 2 severity"],
        ),
        (LEAST + '[[asset]]\nid = "a"\ntags = {x = 1}', ["[[asset]] 1 tags"]),
        (LEAST + '[[asset]]\nid = "a"\nsafety = [1]', ["[[asset]] 1 safety 1"]),
        ("site = 1\n" + LEAST.removeprefix('site = "s"\n'), ["at site"]),
        (
            LEAST + '[[asset]]\nid = "a"\n[[asset.context]]\ntag = "t"\nrol = "run"',
            ["rol", "[[asset]] 1 context 1", "did you mean role?"],
        ),
        (
            LEAST + '[[asset]]\nid="a"\n[[asset.context]]\ntag="t"\nrole="r"',
            ["role", "run, mode, witness"],
        ),
        (
            LEAST + '[[asset]]\nid="a"\n[[asset.context]]\ntag="t"\nrole="witness"',
            ["witness", "kind"],
        ),
        (
            LEAST + '[[asset]]\nid="a"\n[[asset.context]]\ntag="t"\nrole="info"\nkind="lunch"',
            ["lunch"],
        ),
        ('clock = "moon"\n' + LEAST, ["clock", "moon", "wall or plant"]),
        ('prefix = "a/b"\n' + LEAST, ["prefix", "a/b"]),
        ('base = "/tmp"\n' + LEAST, ["base"]),
        (LEAST + '[[source]]\ntopic = "a/#/b"', ["a/#/b"]),
        (LEAST + '[[source]]\ntopic = "a/x+"', ["a/x+"]),
        (LEAST + '[[source]]\ntopic = "{asset}/{asset}"', ["{asset}/{asset}"]),
        (LEAST + '[[source]]\ntopic = "a/{line}"', ["a/{line}"]),
        (LEAST + '[[source]]\ntopic = ""', ["topic"]),
        (LEAST + '[[source]]\nformat = "csv"', ["csv", "json", "sparkplug"]),
        (LEAST + '[[source]]\nformat = "sparkplug"', ["plant/{asset}", "spBv1.0/"]),
        (LEAST + SPARKPLUG.format("spBv1.0/g/DDATA/n/{asset}"), ["spBv1.0/g/DDATA/n/{asset}"]),
        (LEAST + SPARKPLUG.format("spBv1.0/g/+/n/d"), ["names an asset"]),
        (LEAST + SPARKPLUG.format("spBv1.0/{asset}/+/n/d"), ["names an asset"]),
        (LEAST + SPARKPLUG.format("spBv1.0/g/+"), ["spBv1.0/g/+"]),
        ("source = []\n" + LEAST, ["source"]),
    ],
)
def test_a_mistake_is_named(text: str, words: list[str], tmp_path: Path) -> None:
    """File, key, and what was expected or meant."""
    message = complaint(tmp_path, text)
    assert "gateway.toml" in message
    for word in words:
        assert word in message, message
    assert "hush" not in message
    assert "$" not in message, "a path of the file, not of a library"


@pytest.mark.parametrize("text", ["plant/{asset}", "#", "+/x/#", "a/b", "{asset}"])
def test_topic_filters_are_taken(text: str, tmp_path: Path) -> None:
    """What MQTT allows, with one level for the asset."""
    config = read(tmp_path, LEAST + f'[[source]]\ntopic = "{text}"')
    assert config.source[0].topic == text


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, a directory, or not text."""
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match=path.name):
            load(path, environment={})
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.toml: not TOML"):
        load(path, environment={})


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    """Editors of Windows write one."""
    path = tmp_path / "gateway.toml"
    path.write_text(LEAST, encoding="utf-8-sig")
    assert load(path, environment={}).site == "s"


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    """Numbers, booleans and texts, in sections that the file has and in others."""
    config = read(
        tmp_path,
        LEAST + "[mqtt]\nport = 1\n",
        ANDON__MQTT__PORT="1884",
        ANDON__MQTT__HOST="broker.plant",
        ANDON__JOURNAL__STRICT="true",
        ANDON__SITE="line 3",
        OTHER__MQTT__PORT="9",
    )
    assert (config.mqtt.port, config.mqtt.host) == (1884, "broker.plant")
    assert config.journal.strict
    assert config.site == "line 3"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ANDON__MQTT__PROT", "1", ["did you mean port?", "ANDON__MQTT__PROT"]),
        ("ANDON__MQTT__PORT", "many", ["at [mqtt] port", "ANDON__MQTT__PORT"]),
        ("ANDON__SITE__X", "1", ["ANDON__SITE__X", "not a table"]),
        ("ANDON__BASE", "elsewhere", ["base"]),
        ("ANDON__", "1", ["unknown field"]),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    name: str, value: str, words: list[str], tmp_path: Path
) -> None:
    """It is not in the file, so the file alone would mislead."""
    message = complaint(tmp_path, LEAST, **{name: value})
    for word in words:
        assert word in message, message


INCLUDE = LEAST + '[include]\nassets = "assets.csv"\ntags = "tags.csv"\n'


EAST = '[[position]]\nname = "east"\nalerts_per_day = 2.0\nassets = ["r1", "pump-*"]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (EAST.replace("2.0", "0"), ["[[position]]", "'east'", "alerts_per_day is 0", "above 0"]),
        (EAST.replace("2.0", "inf"), ["alerts_per_day is inf", "above 0"]),
        (EAST.replace("2.0", '"two"'), ["at [[position]] 1 alerts_per_day", "float"]),
        (EAST + "budget = 3\n", ["budget", "at [[position]] 1", "known are name"]),
        (EAST + "alert_per_day = 3\n", ["did you mean alerts_per_day?"]),
        (EAST.replace('"east"', '" "'), ["position 1", "no name"]),
        (EAST + EAST, ["position 2, 'east'", "each once"]),
        (EAST.replace('"r1"', '""'), ["an asset is empty"]),
        (
            EAST + '[[position]]\nname = "west"\nassets = ["r1"]\n',
            ["asset 'r1' is in the positions 'east' and 'west'"],
        ),
        (
            EAST + '[[position]]\nname = "w"\nassets = ["p*"]\n[[asset]]\nid = "pump-7"\n',
            ["asset 'pump-7' is in the positions 'east' and 'w'"],
        ),
        (
            EAST + '[[position]]\nname = "w"\n[[asset]]\nid = "r1"\nposition = "w"\n',
            ["asset 'r1' is in the positions 'east' and 'w'"],
        ),
        (
            EAST + '[[asset]]\nid = "r2"\nposition = "esat"\n',
            ["asset r2: position is 'esat'", "did you mean east?"],
        ),
    ],
)
def test_a_position_that_cannot_be_is_named(text: str, words: list[str], tmp_path: Path) -> None:
    """Where, what, and what was expected."""
    said = complaint(tmp_path, LEAST + text)
    for word in words:
        assert word in said


def test_positions_are_told_in_one_place_or_the_other(tmp_path: Path) -> None:
    """A list of assets, a pattern, or the asset itself; who is in none is at the nameless one."""
    assets = '[[asset]]\nid = "r2"\nposition = "east"\n[[asset]]\nid = "r3"\n'
    config = read(tmp_path, LEAST + EAST + assets)
    (east,) = config.position
    assert east.assets == ("r1", "pump-*", "r2")
    told = {name: config.settings.of_asset(name).position for name in ("r1", "r2", "r3", "pump-1")}
    assert told == {"r1": "east", "r2": "east", "r3": "", "pump-1": "east"}
    alone = read(tmp_path, LEAST + assets)
    assert not alone.position
    assert alone.settings.of_asset("r2").position == "east", "the load is counted for it"


def test_tables_of_assets_and_tags_are_included(tmp_path: Path) -> None:
    """They add to what the file says; numbers, lists and texts by their column."""
    (tmp_path / "assets.csv").write_text(
        "id,area,severity,safety,functional_location\n"
        "r1,hall 2,700,gas; wire,4711\n"
        'r2,"hall, 3",,,\n',
        encoding="utf-8-sig",
    )
    (tmp_path / "tags.csv").write_text(
        "asset,tag,channel,unit\nr1,DB1.P,Pressure,bar\nr1,DB1.F,Feed,\nr3,X,Y,\n"
    )
    text = INCLUDE + '[[asset]]\nid = "r1"\ncause = "wear"\narea = "old"\n'
    r1, r2, r3 = read(tmp_path, text).asset
    assert (r1.id, r1.area, r1.severity, r1.cause) == ("r1", "hall 2", 700, "wear")
    assert r1.functional_location == "4711"
    assert r1.safety == ("gas", "wire")
    assert r1.tags == {"DB1.P": "Pressure", "DB1.F": "Feed"}
    assert r1.units == {"DB1.P": "bar"}
    assert (r2.area, r2.severity) == ("hall, 3", 500)
    assert (r3.id, r3.tags) == ("r3", {"X": "Y"})


@pytest.mark.parametrize(
    ("assets", "tags", "words"),
    [
        (None, "asset,tag,channel\n", ["assets.csv", "[include]"]),
        ("id,aera\nr1,x\n", "asset,tag,channel\n", ["assets.csv", "aera", "did you mean area?"]),
        ("area\nx\n", "asset,tag,channel\n", ["assets.csv", "'id'"]),
        ("id,area\nr1\n", "asset,tag,channel\n", ["assets.csv, line 2", "2 cells"]),
        ("id,area\nr1,x,y\n", "asset,tag,channel\n", ["assets.csv, line 2", "2 cells"]),
        ("id\n \n", "asset,tag,channel\n", ["assets.csv", "id is empty"]),
        ("id,severity\nr1,high\n", "asset,tag,channel\n", ["line 2", "severity", "high"]),
        ("id\n", "asset,tag,chanel\nr1,x,y\n", ["tags.csv", "did you mean channel?"]),
        ("id\n", "asset,tag\nr1,x\n", ["tags.csv", "channel"]),
        ("id;area\nr1;x\n", "asset,tag,channel\n", ["assets.csv", "id;area"]),
    ],
)
def test_a_mistake_in_a_table_names_table_line_and_column(
    assets: str | None, tags: str, words: list[str], tmp_path: Path
) -> None:
    """The TOML file is fine, so its name alone would mislead."""
    if assets is not None:
        (tmp_path / "assets.csv").write_text(assets)
    (tmp_path / "tags.csv").write_text(tags)
    message = complaint(tmp_path, INCLUDE)
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("asset", ['[[asset]]\nid = "a"\n[[asset]]\nid = "a"', '[asset]\nid = "a"'])
def test_tables_do_not_hide_mistakes_of_the_file(asset: str, tmp_path: Path) -> None:
    """Two assets of one id are not merged in silence, and a table is not a list."""
    (tmp_path / "assets.csv").write_text("id\nb\n")
    (tmp_path / "tags.csv").write_text("asset,tag,channel\n")
    assert "asset" in complaint(tmp_path, INCLUDE + asset)


def test_the_password_comes_from_its_file_and_is_never_shown(tmp_path: Path) -> None:
    """Spaces belong to it, the end of the line does not."""
    (tmp_path / "secret").write_text(" hush hush \r\n")
    config = read(tmp_path, LEAST + '[mqtt]\nusername = "u"\npassword_file = "secret"')
    assert password(config.mqtt, config.path("")) == " hush hush "
    shown = effective(config)
    assert "hush" not in shown
    assert '"password_file": "secret"' in shown
    assert msgspec.json.decode(shown)["engine"]["tick_ms"] == 100


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_password_that_cannot_be_read_names_its_file(
    content: bytes | None, tmp_path: Path
) -> None:
    """Missing, or not text."""
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    config = read(tmp_path, LEAST + '[mqtt]\npassword_file = "secret"')
    with pytest.raises(ConfigError, match="secret"):
        password(config.mqtt, config.path(""))
    assert password(read(tmp_path, LEAST).mqtt, tmp_path) is None


def test_a_path_that_is_no_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    """Missing, a file, or another directory; what a bundle lost is said when it is read."""
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(ConfigError, match="is no bundle; make one with `andon fit"):
            need_bundle(path)
    (tmp_path / "manifest.json").write_text("{")
    assert need_bundle(tmp_path) == tmp_path


def test_a_time_zone_that_is_none_is_named(tmp_path: Path) -> None:
    """Its texts would not be read at all."""
    path = tmp_path / "gateway.toml"
    text = 'site = "s"\n[model]\nbundle = "b"\n[kb]\ntimezone = '
    for wrong in ("Europe/Berlim", "CET+1/x", "../etc/passwd", "/etc/localtime"):
        path.write_text(f'{text}"{wrong}"\n', encoding="utf-8")
        with pytest.raises(ConfigError, match="expected a name such as Europe/Berlin"):
            load(path)
    path.write_text(f'{text}"Europe/Berlin"\n', encoding="utf-8")
    assert load(path).settings.texts_zone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("count", "period_ms", "least", "expected"),
    [
        (60, 10, 20, 60),
        (60, 1000, 20, 60),
        (60, 1500, 20, 40),
        (60, 10_000, 20, 20),
        (600, 10_000, 60, 60),
        (600, 7_000, 60, 86),
        (600, 3_600_000, 60, 60),
        (10, 10_000, 20, 10),
    ],
)
def test_a_count_that_means_a_time_is_as_long_at_slow_rates_down_to_what_says_something(
    count: int, period_ms: int, least: int, expected: int
) -> None:
    """Up to a second the count as configured; a smaller one that somebody asked for stays."""
    assert samples_in(count, period_ms * 1_000_000, least=least) == expected
