"""The life of a bundle by its commands: kept, compared, approved, promoted, taken back."""

from __future__ import annotations

import functools
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.testing import CliRunner

import andon
from edge.audit.signatures import new_key, read_key, sign_path
from edge.bundles.model_life import Life, changes_of
from edge.bundles.shadow import HOURS_MIN, ShadowReport, Side
from edge.bundles.store import CURRENT, HISTORY, KEPT_MAX, BundleStore, hash_of
from edge.errors import ConfigError
from models.bundles.assemble import make_bundle
from models.bundles.store import load, save
from models.errors import ModelError
from tests.models.plants import fitted

if TYPE_CHECKING:
    from pathlib import Path

    from models.bundles.bundle import Bundle


@functools.cache
def first() -> Bundle:
    """What the configuration names."""
    return make_bundle([fitted(seed=1)])


@functools.cache
def child() -> Bundle:
    """Grown from it on other rows."""
    return make_bundle([fitted(seed=2)], parent=first(), created_at_ns=10**18)


@functools.cache
def stranger() -> Bundle:
    """Of the same asset, of nobody's blood."""
    return make_bundle([fitted(seed=3)], created_at_ns=2 * 10**18)


class Site:
    """A configuration with its bundle, and a child that was proposed."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self.config = folder / "gateway.toml"
        self.config.write_text(f'site = "s"\n[model]\nbundle = "bundles/first"\n{more}')
        save(first(), folder / "bundles" / "first")
        self.child = save(child(), folder / "bundles" / "proposed" / "child")

    @property
    def life(self) -> Life:
        """Opened anew, as by each command."""
        return Life(self.config)

    @property
    def counts(self) -> str:
        """Which bundle counts."""
        return self.life.store.current()[0]

    def run(self, *arguments: str) -> Any:  # noqa: ANN401 - click's result
        """A command of the front door."""
        return CliRunner().invoke(
            andon.app, ["model", *arguments, "--config", str(self.config)], catch_exceptions=True
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site at which nothing has happened."""
    return Site(tmp_path)


def test_promote_and_roll_back_move_the_pointer_and_say_who_and_why(site: Site) -> None:
    """The configured bundle counts first; what was promoted counts, until it is taken back."""
    assert site.counts == first().sha256
    done = site.run("promote", child().sha256[:8], "--by", "ann", "--because", "new pump")
    assert (done.exit_code, site.counts) == (0, child().sha256)
    shutil.rmtree(site.child)  # the store has its own copy
    assert site.life.store.current()[1].parent == site.folder / "state" / "bundles"
    assert load(site.life.store.current()[1]).sha256 == child().sha256
    done = site.run("rollback", "--by", "bea", "--because", "it rings")
    assert (done.exit_code, site.counts) == (0, first().sha256)
    said = [(a.what, a.by, a.because, a.bundle_sha256) for a in site.life.store.history()]
    assert said == [
        ("promoted", "ann", "new pump", child().sha256),
        ("rolled_back", "bea", "it rings", first().sha256),
    ]
    states = {row["sha256"]: row["state"] for row in msgspec.json.decode(
        site.run("list", "--json").stdout
    )}  # fmt: skip
    assert states == {first().sha256: "current", child().sha256: "retired"}


def test_what_was_taken_back_comes_back_only_by_its_name(site: Site) -> None:
    """A rollback that is asked for twice stays where it went; the message says how to mean it."""
    bad = child().sha256[:12]
    assert site.run("promote", bad).exit_code == 0
    assert site.run("rollback", "--by", "bea").exit_code == 0
    acts = len(site.life.store.history())
    again = site.run("rollback")
    assert isinstance(again.exception, ConfigError)
    assert f"andon model rollback {bad}" in str(again.exception)
    assert "bea" in str(again.exception)
    assert (site.counts, len(site.life.store.history())) == (first().sha256, acts)
    assert site.run("rollback", bad).exit_code == 0
    assert site.counts == child().sha256
    assert site.run("promote", first().sha256[:12], "--yes").exit_code == 0
    assert site.run("rollback").exit_code == 0, "after a promotion it goes back unasked"
    assert site.counts == child().sha256


def test_a_name_that_is_too_short_is_called_so(site: Site) -> None:
    """It need not be of several; what is of none is."""
    with pytest.raises(ConfigError, match=f"'{child().sha256[:3]}' is too short; expected"):
        site.life.store.resolve(child().sha256[:3])
    with pytest.raises(ConfigError, match="no bundle 'zz'; expected"):
        site.life.store.resolve("zz")


def test_another_bundle_at_the_configured_path_counts_at_once(site: Site) -> None:
    """Whoever fits anew where the configuration points means it; the pointer is of the old one."""
    site.life.promote(child().sha256, by="ann", because="", even_so=False, only_better=False)
    assert site.counts == child().sha256
    shutil.rmtree(site.folder / "bundles" / "first")
    save(stranger(), site.folder / "bundles" / "first")
    assert site.counts == stranger().sha256


def test_what_is_no_child_takes_yes(site: Site) -> None:
    """As with `adopt-bundle`; and nothing has changed until then."""
    place = save(stranger(), site.folder / "other")
    refused = site.run("promote", str(place))
    assert (refused.exit_code, site.counts) == (1, first().sha256)
    assert "no child" in refused.stdout
    assert site.run("promote", str(place), "--yes").exit_code == 0
    assert site.counts == stranger().sha256


@pytest.mark.parametrize("file", ["parameters.npz", "selftest.npz", "model.onnx", "bundle.json"])
def test_a_bundle_that_is_damaged_is_never_promoted(site: Site, file: str) -> None:
    """Nor one whose self-test fails: `--yes` does not help."""
    stored = (site.child / file).read_bytes()
    (site.child / file).write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
    done = site.run("promote", str(site.child), "--yes")
    assert isinstance(done.exception, ModelError)
    assert site.counts == first().sha256
    assert not (site.folder / "state" / "bundles" / CURRENT).exists()


def test_a_prefix_has_to_be_long_enough_and_of_one_bundle(site: Site) -> None:
    """The message names what there is."""
    for named in ("", child().sha256[:3], "zzzz"):
        with pytest.raises(ConfigError, match=first().sha256[:12]):
            site.life.store.resolve(named)
    assert site.life.store.resolve(child().sha256[:4].upper())[0] == child().sha256


def test_the_promoter_cannot_approve(tmp_path: Path) -> None:
    """One approval by another person; the same person's does not count."""
    site = Site(tmp_path, "approvals = 1\n")
    short = child().sha256[:12]
    assert isinstance(site.run("promote", short, "--by", "ann").exception, ConfigError)
    assert site.run("approve", short, "--by", "ann").exit_code == 0
    assert isinstance(site.run("promote", short, "--by", "ann").exception, ConfigError)
    assert site.counts == first().sha256
    assert site.run("approve", short, "--by", "bea").exit_code == 0
    assert site.run("promote", short, "--by", "ann").exit_code == 0
    assert site.counts == child().sha256
    assert site.run("rollback", "--by", "ann").exit_code == 0, "a rollback waits for nobody"


def test_a_bundle_that_was_refused_does_not_count_as_one_that_was_in_use(tmp_path: Path) -> None:
    """Asking twice is no approval."""
    site = Site(tmp_path, "approvals = 1\n")
    store = site.life.store
    store.keep(site.child)
    store.keep(site.folder / "bundles" / "first")
    store.point(child().sha256, by="mallory", because="")
    store.point(first().sha256, by="the gateway", because="not approved", what="rolled_back")
    assert isinstance(site.run("promote", child().sha256, "--by", "mallory").exception, ConfigError)


def test_approvals_are_signed_where_signatures_are_required(tmp_path: Path) -> None:
    """By the approver's own key; a key of somebody else, or another bundle's word, do not count."""
    keys = tmp_path / "keys"
    public = {name: new_key(keys, name)[1] for name in ("bea", "engineer", "mallory")}
    trust = (
        f'approvals = 1\n[trust]\nrequire_signed = true\npublic_keys = ["{public["engineer"]}"]\n'
        f'[trust.operators]\nbea = "{public["bea"]}"\n'
    )
    site = Site(tmp_path, trust)
    short = child().sha256[:12]
    assert "not signed" in str(site.run("promote", short, "--by", "ann").exception)
    sign_path(site.child, read_key(keys / "engineer.key"))
    for more in ([], ["--key", str(keys / "mallory.key")]):
        done = site.run("approve", short, "--by", "bea", *more)
        assert isinstance(done.exception, ConfigError)
        assert isinstance(site.run("promote", short, "--by", "ann").exception, ConfigError)
    done = site.run("approve", short, "--by", "bea", "--key", str(keys / "bea.key"))
    assert done.exit_code == 0
    assert site.run("promote", short, "--by", "ann").exit_code == 0
    assert site.run("list").stdout.count("yes") == 1, "its signature came along"


def test_a_history_that_was_changed_is_not_believed(site: Site) -> None:
    """Each line is bound to the one before."""
    for by in ("ann", "bea", "cyd"):
        site.life.approve(str(site.child), by=by, because="", key=None)
    path = site.folder / "state" / "bundles" / HISTORY
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(site.life.store.history()) == 3
    for tampered in (
        lines[1:],
        [lines[0], lines[2]],
        [lines[0].replace(b"ann", b"eve"), *lines[1:]],
        [b"{}\n", *lines],
    ):
        path.write_bytes(b"".join(tampered))
        with pytest.raises(ConfigError, match="line"):
            site.life.store.history()


def test_diff_says_what_an_operator_would_notice(site: Site) -> None:
    """Thresholds and levels of the same asset, and assets that come and go."""
    two = make_bundle([fitted(seed=1), fitted(seed=4, c=3, asset="r2")], alerts_per_day=3.0)
    found = {(c.asset, c.what): (c.before, c.after) for c in changes_of(first(), two)}
    assert found["r2", "asset"] == ("not watched", "watched")
    assert found["", "alerts a day"] == ("6", "3")
    on = [bundle.assets[0].threshold_on for bundle in (first(), two)]
    assert found["r1", "threshold"] == tuple(f"{value:.2f}" for value in on)
    back = {(c.asset, c.what): c.after for c in changes_of(two, first())}
    assert back["r2", "asset"] == "not watched"
    wider = changes_of(make_bundle([fitted(c=3)]), make_bundle([fitted(c=4)]))
    assert ("channel c3", "the asset begins anew") in {(c.what, c.change) for c in wider}
    assert not changes_of(first(), first())
    shown = site.run("diff", first().sha256, child().sha256)
    assert first().sha256[:12] in shown.stdout, "its parent"


def test_show_gives_card_training_and_history(site: Site) -> None:
    """As text for people and as JSON for programs."""
    site.run("promote", child().sha256, "--by", "ann", "--because", "new pump")
    text = site.run("show", child().sha256[:8]).stdout
    assert "promoted by ann: new pump" in text
    assert "## Intended use" in text
    told = msgspec.json.decode(site.run("show", child().sha256[:8], "--json").stdout)
    assert told["state"] == "current"
    assert told["assets"][0]["threshold_on"] == pytest.approx(child().assets[0].threshold_on)


def side(**more: Any) -> Side:  # noqa: ANN401
    """What one bundle did in the shadow."""
    usual: dict[str, Any] = {
        "bundle_sha256": first().sha256,
        "alerts": 10,
        "alerts_per_day": 5.0,
        "unscored_share": 0.0,
        "us_per_sample": 50.0,
    }
    return Side(**{**usual, **more})


def report(hours: float = 48.0, **more: Any) -> ShadowReport:  # noqa: ANN401
    """A candidate that is as good as the current one, but for what is named."""
    usual: dict[str, Any] = {
        "current": side(),
        "candidate": side(bundle_sha256=child().sha256),
        "begin_ns": 10**18,
        "end_ns": 10**18 + int(hours * 3600e9),
        "samples": 1000,
        "period_s": 1.0,
        "budget_per_day": 6.0,
        "both": 10,
        "agreement": 1.0,
        "delay_s_median": 0.0,
    }
    return ShadowReport(**{**usual, **more})


@pytest.mark.parametrize(
    ("worse", "word"),
    [
        ({"hours": HOURS_MIN - 0.1}, "h seen"),
        ({"candidate": side(alerts_per_day=6.1)}, "alerts a day"),
        ({"both": 8}, "it rang 8 of the 10"),
        ({"delay_s_median": 2.5}, "later"),
        ({"candidate": side(unscored_share=0.02)}, "no score"),
        ({"candidate": side(unscored_share=float("nan"))}, "no score"),
        ({"candidate": side(us_per_sample=101.0)}, "us a sample"),
    ],
)
def test_the_rule_of_better_names_each_thing_that_is_worse(
    site: Site, worse: dict[str, Any], word: str
) -> None:
    """Without a report, or with one beside another bundle, nothing is; one cause is enough."""
    assert not report().worse_because()
    assert not report(delay_s_median=float("nan")).worse_because(), "none matched, none rang"
    (why,) = report(**worse).worse_because()
    assert word in why
    refused = site.run("promote", child().sha256, "--if-better")
    assert (refused.exit_code, "never in the shadow" in refused.stdout) == (1, True)
    store = site.life.store
    store.keep(site.child)
    store.write_report(child().sha256, msgspec.json.encode(report(**worse)))
    assert site.run("promote", child().sha256, "--if-better").exit_code == 1
    store.write_report(
        child().sha256, msgspec.json.encode(report(current=side(bundle_sha256="f" * 64)))
    )
    assert site.run("promote", child().sha256, "--if-better").exit_code == 1
    for damaged in (b"\xff", b"[]", b'{"both":' + b"[" * 1_200 + b"]" * 1_200 + b"}"):
        store.write_report(child().sha256, damaged)
        refused = site.run("promote", child().sha256, "--if-better")
        assert (refused.exit_code, "its report is damaged" in refused.stdout) == (1, True)
    nothing_rang = report(agreement=float("nan"), delay_s_median=float("nan"))
    store.write_report(child().sha256, msgspec.json.encode(nothing_rang))
    assert site.run("promote", child().sha256, "--if-better").exit_code == 0


def test_only_so_many_retired_ones_are_kept(tmp_path: Path) -> None:
    """The current one and the one before it are never among those that go."""
    configured = save(first(), tmp_path / "first")
    store = BundleStore(tmp_path / "store", configured)
    store.keep(configured)
    place = store.keep(save(child(), tmp_path / "child"))
    store.point(child().sha256, by="ann", because="")
    for i in range(KEPT_MAX + 3):
        shutil.copytree(place, store.directory / f"{i:016x}")
        manifest = store.directory / f"{i:016x}" / "manifest.json"
        manifest.write_bytes(manifest.read_bytes() + b" " * i + b"\n")
    store.point(first().sha256, by="ann", because="", what="rolled_back")
    kept = {hash_of(path) for path in store.directory.iterdir() if path.is_dir()}
    assert len(kept) == KEPT_MAX
    assert {first().sha256, child().sha256} <= kept
