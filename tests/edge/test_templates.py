"""Templates of assets: said once, counted for each, and every mistake named where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.configuration.config import load
from edge.configuration.templates import apply_templates
from edge.errors import ConfigError

if TYPE_CHECKING:
    from edge.settings import AssetSettings

LEAST = 'site = "s"\n[model]\nbundle = "b"\n'
TABLES = LEAST + '[include]\nassets = "assets.csv"\ntags = "tags.csv"\n'
PUMP = """
[[template]]
name = "pump"
tags = { "{asset}.P" = "pressure", "{asset}.F" = "flow" }
units = { "{asset}.P" = "bar", "{asset}.F" = "m3/h" }
on_change = ["flow"]
severity = 700
cause = "wear of {asset}"
context = [{ tag = "{asset}.RUN", role = "run" }]
"""


def assets_of(folder: Path, text: str, rows: str = "id\n", tags: str = "") -> list[AssetSettings]:
    """Load a configuration with its tables."""
    (folder / "assets.csv").write_text(rows, encoding="utf-8")
    (folder / "tags.csv").write_text("asset,tag,channel,unit\n" + tags, encoding="utf-8")
    (folder / "gateway.toml").write_text(text, encoding="utf-8")
    return list(load(folder / "gateway.toml", environment={}).asset)


def test_a_template_counts_for_each_asset_that_names_it(tmp_path: Path) -> None:
    """By the table or by [[asset]]; {asset} stands for the id, what an asset says goes before."""
    own = '[[asset]]\nid = "p9"\ntemplate = "pump"\nseverity = 100\non_change = []\n'
    rows = "id,template,severity\np1,pump,\np2,pump,900\nx,,\n"
    p9, p1, p2, x = assets_of(tmp_path, TABLES + PUMP + own, rows)
    assert p1.tags == {"p1.P": "pressure", "p1.F": "flow"}
    assert p1.units == {"p1.P": "bar", "p1.F": "m3/h"}
    assert p1.context[0].tag == "p1.RUN"
    assert (p1.severity, p1.cause, p1.on_change) == (700, "wear of p1", ("flow",))
    assert (p2.severity, p2.tags["p2.F"]) == (900, "flow")
    assert (p9.severity, p9.on_change) == (100, ())
    assert not x.tags


def test_another_tag_for_a_channel_takes_the_templates_place(tmp_path: Path) -> None:
    """Else two tags would be mapped to one channel."""
    rows, tags = "id,template\np1,pump\n", "p1,PT_101,pressure,kPa\n"
    (p1,) = assets_of(tmp_path, TABLES + PUMP, rows, tags)
    assert p1.tags == {"PT_101": "pressure", "p1.F": "flow"}
    assert p1.units == {"PT_101": "kPa", "p1.F": "m3/h"}


@pytest.mark.parametrize(
    ("text", "rows", "words"),
    [
        (PUMP, "id,template\nok,\np1,pmp\n", ["assets.csv, line 3", "template", "mean pump?"]),
        ("", "id,template\np1,pump\n", ["line 2, column template", "no [[template]]"]),
        (PUMP + '[[asset]]\nid = "a"\ntemplate = "x"\n', "id\n", ["[[asset]] 1", "'x'"]),
        (PUMP + '[[asset]]\nid = "a"\ntemplate = 7\n', "id\n", ["[[asset]] 1", "7"]),
        (PUMP.replace("severity", "sevrity"), "id\n", ["[[template]] 1 'pump'", "mean severity?"]),
        (PUMP.replace("= 700", '= "x"'), "id\n", ["[[template]] 1 'pump'", "at severity"]),
        (PUMP + "id = 'p'\n", "id\n", ["[[template]] 1 'pump'", "unknown key 'id'"]),
        (PUMP + PUMP, "id\n", ["[[template]] 2", "'pump' comes twice"]),
        (PUMP.replace('name = "pump"', ""), "id\n", ["[[template]] 1", "no name"]),
        ("[template]\nname = 'x'\n", "id\n", ["expected [[template]]"]),
    ],
)
def test_a_mistake_is_named_where_it_stands(
    text: str, rows: str, words: list[str], tmp_path: Path
) -> None:
    """File, row and column, or the number of the template, and the nearest name."""
    with pytest.raises(ConfigError) as caught:
        assets_of(tmp_path, TABLES + text, rows)
    for word in words:
        assert word in str(caught.value)


def test_a_template_needs_no_tables(tmp_path: Path) -> None:
    """[include] may be absent."""
    own = '[[asset]]\nid = "p9"\ntemplate = "pump"\n'
    (p9,) = assets_of(tmp_path, LEAST + PUMP + own)
    assert p9.tags == {"p9.P": "pressure", "p9.F": "flow"}


def test_a_thousand_assets_with_three_templates(tmp_path: Path) -> None:
    """Each gets its own template with its own id."""
    texts = [PUMP.replace('"pump"', f'"kind{i}"').replace("700", f"{i + 1}") for i in range(3)]
    rows = "id,template\n" + "".join(f"m{i:04},kind{i % 3}\n" for i in range(1_000))
    found = assets_of(tmp_path, TABLES + "".join(texts), rows)
    assert len(found) == 1_000
    for i, one in enumerate(found):
        assert (one.id, one.severity) == (f"m{i:04}", i % 3 + 1)
        assert one.tags == {f"{one.id}.P": "pressure", f"{one.id}.F": "flow"}


CHANNELS = st.dictionaries(st.sampled_from("tuvw"), st.sampled_from("ABCD"), max_size=4).filter(
    lambda tags: len(set(tags.values())) == len(tags)
)


@given(said=CHANNELS, own=CHANNELS, severity=st.none() | st.integers(1, 1000))
def test_what_an_asset_says_always_stands(
    said: dict[str, str], own: dict[str, str], severity: int | None
) -> None:
    """And of the template all that does not contradict it; no channel ever gets two tags."""
    asset: dict[str, Any] = {"id": "a", "template": "t", "tags": dict(own)}
    if severity is not None:
        asset["severity"] = severity
    data = {"template": [{"name": "t", "tags": said, "severity": 7}], "asset": [asset]}
    apply_templates(msgspec.convert(data, dict[str, Any]), Path("gateway.toml"), {})
    tags = asset["tags"]
    assert own.items() <= tags.items()
    assert len(set(tags.values())) == len(tags)
    assert set(tags.values()) >= set(own.values())
    for tag, channel in said.items():
        assert tag in own or channel in own.values() or tags[tag] == channel
    assert asset["severity"] == (7 if severity is None else severity)
    assert "template" not in asset
