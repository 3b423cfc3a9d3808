"""Differences between what is expected and what was heard, each with what a person may do.

    missing tag + unknown tag, alike by name or by level and spread -> renamed
    known tag, elsewhere, and a known change of scale explains it   -> rescaled
    known tag without numbers, or with no more than two or whole    -> retyped

Nothing is changed by any of it. A tag is taken for another one of the same asset only, each for one
at most; where two are as good, both are said.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.rewiring.matching import FEW, assigned, match_of, or_else, rivals_of, seen, usual_of
from edge.rewiring.names import alike
from edge.rewiring.scales import between, canonical, explained, is_usual

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edge.rewiring.expected import ExpectedAsset, ExpectedTag, Usual
    from edge.rewiring.heard import Heard, Level, Values

TAGS_ALIKE: Final = 0.6  # of the tags of two assets that are the same
PAIRS_MAX: Final = 4_000_000  # of assets that are compared; beyond, by their names' order


class Kind(StrEnum):
    """What has changed, those first that blind most."""

    ASSET = "asset"  # nothing of it comes
    RENAMED = "renamed"
    RESCALED = "rescaled"
    RETYPED = "retyped"
    MISSING = "missing"
    ELSEWHERE = "elsewhere"  # values that no change of scale explains: the machine may be there


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One of them. to: the tag, asset or change that is proposed, "" none; sure: likely or maybe.

    found: what was seen; do: what a person may do.
    """

    kind: Kind
    asset: str
    tag: str = ""
    channel: str = ""
    to: str = ""
    sure: str = ""
    found: str
    do: str = ""


def differences(
    expected: Mapping[str, ExpectedAsset], heard: Heard, *, seconds: float
) -> list[Difference]:
    """All differences, worst first, of assets and tags in order."""
    there = {name for name, tags in heard.assets.items() if any(v.came for v in tags.values())}
    found = list(_of_assets(expected, heard, there, seconds=seconds))
    for name, asset in expected.items():
        if name in there:
            found += _of_tags(asset, heard.assets[name], seconds=seconds)
    order = list(Kind)
    return sorted(found, key=lambda one: (order.index(one.kind), one.asset, one.tag))


# --- whole assets ---


def _of_assets(
    expected: Mapping[str, ExpectedAsset], heard: Heard, there: set[str], *, seconds: float
) -> Iterator[Difference]:
    silent = sorted(name for name in expected if name not in there)
    strangers = sorted(there - set(expected))
    if len(silent) * len(strangers) > PAIRS_MAX:
        strangers = strangers[: max(PAIRS_MAX // max(len(silent), 1), 1)]
    said = {name: _came(heard.assets[name]) for name in strangers}
    worth = [
        [_asset_worth(expected[one], other, said[other]) for other in strangers] for one in silent
    ]
    chosen = assigned(worth)
    for i, name in enumerate(silent):
        told = f"nothing came of it in {seconds:.0f} s"
        if heard.nameless:
            told += f" by name; {heard.nameless} values came before their birth or metadata"
        if name in heard.assets:
            told += " but what the broker retains"
        if i not in chosen:
            yield Difference(
                kind=Kind.ASSET,
                asset=name,
                found=told,
                do="see whether it is switched off, or what its gateway sends now: andon discover",
            )
            continue
        other = strangers[chosen[i]]
        shared = sum(tag in said[other] for tag in expected[name].tags)
        rivals = rivals_of(worth[i], chosen[i], strangers)
        yield Difference(
            kind=Kind.ASSET,
            asset=name,
            to=other,
            sure="maybe" if rivals else "likely",
            found=f"{told}; {other} is new, with {shared} of its {len(expected[name].tags)} tags"
            + or_else(rivals),
            do=f"if it is the same machine: have the [[source]] of {other} say"
            f' asset = "{name}", or give it asset_from',
        )


def _came(tags: Mapping[str, Values]) -> set[str]:
    return {tag for tag, values in tags.items() if values.came}


def _asset_worth(asset: ExpectedAsset, other: str, tags: set[str]) -> float:
    """How likely it is that an asset is called so now; 0: not."""
    shared = len(tags & set(asset.tags)) / max(len(asset.tags), 1)
    return shared + 0.5 * alike(asset.asset, other) if shared >= TAGS_ALIKE else 0.0


# --- tags of an asset ---


def _of_tags(
    asset: ExpectedAsset, said: Mapping[str, Values], *, seconds: float
) -> Iterator[Difference]:
    came = _came(said)
    missing = [one for tag, one in sorted(asset.tags.items()) if tag not in came]
    strange = sorted(came - set(asset.tags))
    yield from _renamed(asset, missing, {tag: said[tag] for tag in strange}, said, seconds=seconds)
    for tag in sorted(came & set(asset.tags)):
        yield from _changed(asset, asset.tags[tag], said[tag])


def _renamed(
    asset: ExpectedAsset,
    missing: Sequence[ExpectedTag],
    strange: Mapping[str, Values],
    said: Mapping[str, Values],
    *,
    seconds: float,
) -> Iterator[Difference]:
    """Missing tags, each with the one that may have taken its place."""
    names = list(strange)
    matches = [[match_of(one, name, strange[name]) for name in names] for one in missing]
    worth = [[0.0 if one is None else one.worth for one in row] for row in matches]
    chosen = assigned(worth)
    for i, one in enumerate(missing):
        match = matches[i][chosen[i]] if i in chosen else None
        if match is None:
            yield _missing(asset, one, said.get(one.tag), seconds=seconds)
            continue
        to = names[chosen[i]]
        rivals = rivals_of(worth[i], chosen[i], names)
        where = f"[[asset]] of {asset.asset}: "
        if one.role:
            do = f'{where}in context, tag = "{to}"'
        else:
            do = f'{where}tags = {{ "{to}" = "{one.channel}" }}'
        yield Difference(
            kind=Kind.RENAMED,
            asset=asset.asset,
            tag=one.tag,
            channel=one.channel,
            to=to,
            sure="likely" if match.likely and not rivals else "maybe",
            found=f"{one.tag} -> {to}, {match.found}{or_else(rivals)}",
            do=f"if it is the same: {do}, or the table of tags that it includes",
        )


def _missing(
    asset: ExpectedAsset, one: ExpectedTag, values: Values | None, *, seconds: float
) -> Difference:
    told = f"nothing came in {seconds:.0f} s"
    if values is not None and values.retained:
        told += " but what the broker retains"
    if one.on_change:
        told += ", which may be: it comes when it changes"
    return Difference(
        kind=Kind.MISSING,
        asset=asset.asset,
        tag=one.tag,
        channel=one.channel,
        found=f"{told}; no tag that nobody uses is like it",
        do="listen longer" if one.on_change else "ask who keeps the PLC; it is masked meanwhile",
    )


def _changed(asset: ExpectedAsset, one: ExpectedTag, values: Values) -> Iterator[Difference]:
    """What a tag that comes under its name does otherwise than before."""
    if one.role:
        return
    common = {"asset": asset.asset, "tag": one.tag, "channel": one.channel}
    if not values.count and not values.texts:
        yield Difference(
            kind=Kind.MISSING,
            found=f"{values.absent} values came, all null or of bad quality",
            do="look at the sensor, and at its tag in the PLC; it is masked meanwhile",
            **common,
        )
        return
    if not values.count:
        told = f"it comes as text, such as {', '.join(map(repr, values.texts))}"
        if all(_is_number(text) for text in values.texts):
            told += ", which would be numbers"
        do = "it is masked meanwhile; have it sent as a number"
        yield Difference(kind=Kind.RETYPED, found=told, do=do, **common)
        return
    stated = canonical(values.unit) if values.unit and one.unit else ""
    if stated and stated != canonical(one.unit):
        scale = between(one.unit, values.unit)
        yield Difference(
            kind=Kind.RESCALED,
            to=values.unit if scale is None else scale.says,
            sure="likely",
            found=f"its sender says {values.unit}, expected {one.unit}",
            do=f"it is masked meanwhile; have it sent in {one.unit}, or fit anew: andon learn",
            **common,
        )
        return
    level = values.level()
    if one.usual is None or level is None or values.kept < FEW:
        return
    yield from _moved(one, values, level, common)


def _moved(
    one: ExpectedTag, values: Values, level: Level, common: Mapping[str, str]
) -> Iterator[Difference]:
    """Numbers that lie or step otherwise than before."""
    assert one.usual is not None
    told = seen(level, one)
    scales = explained(level, one.usual, unit=one.unit)
    numbers = values.numbers
    whole = bool(np.all(numbers == np.round(numbers))) and len(np.unique(numbers)) > 1
    if scales:
        others = [scale.says for scale in scales[1:3]]
        yield Difference(
            kind=Kind.RESCALED,
            to=scales[0].says,
            sure="maybe" if others else "likely",
            found=f"{scales[0].says} {told}" + or_else(others),
            do="if so, have it sent as before, or fit anew: andon learn; it rings until it is taken"
            f' out, and is masked then: tags = {{ "{one.tag}" = "{one.channel}-rescaled" }}',
            **common,
        )
    elif whole and set(numbers.tolist()) <= {0.0, 1.0} and not _is_binary(one):
        yield Difference(
            kind=Kind.RETYPED,
            found=f"it comes as 0 and 1 alone; usual {usual_of(one)}",
            do="have it sent as a number, or fit anew: andon learn",
            **common,
        )
    elif whole and _moved_between(one.usual) and is_usual(level, one.usual):
        yield Difference(
            kind=Kind.RETYPED,
            sure="maybe",
            found=f"it comes as whole numbers alone; usual {usual_of(one)}",
            do="if its type is an integer now, have it sent as a real number, or fit anew",
            **common,
        )
    elif not is_usual(level, one.usual):
        yield Difference(
            kind=Kind.ELSEWHERE,
            found=f"{told}; no change of scale that is known explains it",
            do="if the machine is not there, compare with the instrument",
            **common,
        )


def _moved_between(usual: Usual) -> bool:
    """Whether it used to lie between whole numbers, and too near for these to be chance."""
    ends = (usual.low, usual.high)
    return 0.0 < usual.sigma < 2.0 and any(value != round(value) for value in ends)


def _is_binary(one: ExpectedTag) -> bool:
    return one.usual is not None and {one.usual.low, one.usual.high} <= {0.0, 1.0}


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
