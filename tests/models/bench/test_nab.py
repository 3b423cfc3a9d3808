"""NAB's score: by hand, by a slow twin, and by what NAB itself published of simple methods."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bench.classic import windowed_gaussian
from models.bench.nab import (
    LOW_FN,
    LOW_FP,
    PROBATION,
    PROFILES,
    STANDARD,
    Profile,
    Scored,
    probation_rows,
    row_worth,
    score_nab,
)
from models.bench.nab_files import load_nab
from models.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from models.bench.judged import Rows

BY_NAME = {profile.name: profile for profile in PROFILES}
STD = BY_NAME[STANDARD]


def _sigmoid(y: float) -> float:
    return 2.0 / (1.0 + math.exp(5.0 * y)) - 1.0


def test_probation_is_15_percent_up_to_750_rows() -> None:
    """The cap is 15 % of 5,000 rows; the share is rounded down."""
    assert [probation_rows(n) for n in (7, 100, 1127, 5000, 18050)] == [1, 15, 169, 750, 750]


#  rows    0  1  2  3  4  5  6  7  8  9  10 11 12 13 14 15 16 17 18 19
#          probation [     window   )  behind: distance / 3 widths
def test_worth_of_every_row_by_hand() -> None:
    """The published formulas, row by row, for a window of four rows in a file of twenty."""
    worth, member = row_worth(20, [(4, 8)], STD)
    assert member.tolist() == [PROBATION] * 3 + [-1] + [0] * 4 + [-1] * 12
    assert worth[3] == -0.11  # no window before it: the whole weight
    best = _sigmoid(-1.0)
    inside = [_sigmoid(-y) / best for y in (1.0, 0.75, 0.5, 0.25)]
    np.testing.assert_allclose(worth[4:8], inside, rtol=1e-14)
    behind = [0.11 * _sigmoid(k / 3) for k in range(1, 9)] + [-0.11] * 4
    np.testing.assert_allclose(worth[8:], behind, rtol=1e-14)


def test_a_corpus_scored_by_hand() -> None:
    """One window found in its second row, one false positive before it: (.98 - .11 + 1) / 2."""
    scores = np.zeros(20)
    scores[[3, 5, 7]] = 0.9, 0.9, 0.95
    told = score_nab([Scored(scores=scores, windows=((4, 8),))], STD, threshold=0.9)
    points = _sigmoid(-0.75) / _sigmoid(-1.0) - 0.11
    assert told.files == pytest.approx((points,), rel=1e-14)
    assert told.score == pytest.approx(100.0 * (points + 1.0) / 2.0, rel=1e-14)


def test_a_missed_window_costs_what_the_profile_says() -> None:
    """Two windows, one found at once: 50 for the standard, 50 also where misses cost double."""
    scores = np.zeros(40)
    scores[10] = 1.0
    file = Scored(scores=scores, windows=((10, 14), (30, 34)))
    for name, points in ((STANDARD, 0.0), (LOW_FP, 0.0), (LOW_FN, -1.0)):
        told = score_nab([file], BY_NAME[name], threshold=0.5)
        assert told.files == pytest.approx((points,))
        assert told.score == pytest.approx(50.0)


def test_null_is_0_and_perfect_is_100() -> None:
    """Exactly: a constant score is best left unflagged, the first row of each window is best."""
    files = [(2000, ((400, 500), (900, 901))), (300, ()), (6000, ((5000, 5600),))]
    null = [Scored(scores=np.full(n, 0.5), windows=w) for n, w in files]
    perfect = []
    for n, windows in files:
        scores = np.zeros(n)
        scores[[begin for begin, _ in windows]] = 1.0
        perfect.append(Scored(scores=scores, windows=windows))
    for profile in PROFILES:
        told = score_nab(null, profile)
        assert told.score == 0.0
        assert told.threshold > 0.5
        assert score_nab(perfect, profile).score == 100.0
        assert score_nab(perfect, profile).threshold == 1.0


def test_what_is_not_ready_is_never_flagged() -> None:
    """NaN everywhere is silence, whatever the threshold."""
    file = Scored(scores=np.full(100, np.nan), windows=((50, 60),))
    assert score_nab([file], STD).score == 0.0
    assert score_nab([file], STD, threshold=-1e9).score == 0.0


def test_a_window_in_probation_is_missed_by_everybody() -> None:
    """It costs no points, but the perfect detector would have found it."""
    scores = np.zeros(100)
    scores[[5, 50]] = 1.0
    told = score_nab([Scored(scores=scores, windows=((5, 9), (50, 60)))], STD, threshold=1.0)
    assert told.files == pytest.approx((1.0,))
    assert told.score == pytest.approx(100.0 * (1.0 + 1.0) / (2.0 + 1.0))


def test_windows_that_overlap_and_no_window_at_all_are_refused() -> None:
    """They would be scored as something else, in silence."""
    with pytest.raises(ModelError, match="in order, apart"):
        row_worth(100, [(20, 40), (39, 50)], STD)
    with pytest.raises(ModelError, match="nothing to find"):
        score_nab([Scored(scores=np.zeros(9), windows=())], STD)


def _slow(files: list[Scored], profile: Profile) -> tuple[float, float]:
    """Best points and threshold, one threshold after the other, one row after the other."""
    best = (-math.inf, math.inf)
    levels = {float(s) for file in files for s in file.scores if not math.isnan(s)}
    for threshold in [math.inf, *sorted(levels, reverse=True)]:
        points = 0.0
        for file in files:
            begins = min(int(0.15 * len(file.scores)), 750)
            found: dict[Rows, float] = {
                w: -profile.false_negative for w in file.windows if w[1] > begins
            }
            behind: Rows | None = None
            for row, score in enumerate(file.scores.tolist()):
                inside = next((w for w in file.windows if w[0] <= row < w[1]), None)
                behind = next((w for w in reversed(file.windows) if w[1] <= row), None)
                if row < begins or not score >= threshold:
                    continue
                if inside:
                    worth = _sigmoid(-(inside[1] - row) / (inside[1] - inside[0])) / _sigmoid(-1.0)
                    found[inside] = max(found[inside], worth * profile.true_positive)
                elif behind and behind[1] - behind[0] > 1:
                    y = (row - behind[1] + 1) / (behind[1] - behind[0] - 1)
                    points += profile.false_positive * (-1.0 if y >= 3.0 else _sigmoid(y))
                else:
                    points -= profile.false_positive
            points += sum(found.values())
        if points > best[0] + 1e-9:
            best = (points, threshold)
    return best


@st.composite
def _corpora(draw: st.DrawFn) -> list[Scored]:
    files = []
    for _ in range(draw(st.integers(1, 3))):
        n = draw(st.integers(8, 40))
        edges = sorted(draw(st.sets(st.integers(0, n), max_size=6)))
        edges = edges[: len(edges) // 2 * 2]
        scores = draw(
            st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0, math.nan]), min_size=n, max_size=n)
        )
        windows = tuple(zip(edges[::2], edges[1::2], strict=True))
        files.append(Scored(scores=np.array(scores), windows=windows))
    files.append(Scored(scores=np.zeros(30), windows=((20, 25),)))
    return files


@given(_corpora(), st.sampled_from(PROFILES))
def test_the_sweep_finds_what_trying_every_threshold_finds(
    files: list[Scored], profile: Profile
) -> None:
    """The same points and the same flags, however windows, ties and holes lie."""
    told = score_nab(files, profile)
    points, threshold = _slow(files, profile)
    assert sum(told.files) == pytest.approx(points, abs=1e-9)
    for file in files:
        rated = file.scores[probation_rows(len(file.scores)) :]
        assert (rated >= told.threshold).tolist() == (rated >= threshold).tolist()


def test_a_folder_of_the_same_shape_is_read(tmp_path: Path) -> None:
    """Labels in labels/, profiles built in, windows with both ends inside, what is absent named."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "data" / "real").mkdir(parents=True)
    windows = {
        "real/a.csv": [["2026-01-01 00:10:00.000000", "2026-01-01 00:20:00.000000"]],
        "real/gone.csv": [],
    }
    (tmp_path / "labels" / "combined_windows.json").write_text(json.dumps(windows))
    rows = [f"2026-01-01 {i // 12:02}:{i % 12 * 5:02}:00,{i}" for i in range(24)]
    (tmp_path / "data" / "real" / "a.csv").write_text("\n".join(["timestamp,value", *rows]))
    (tmp_path / "data" / "b.csv").write_text("timestamp,value\n2026-01-01 00:00:00,1\n")
    corpus = load_nab(tmp_path)
    (file,) = corpus.files
    assert (file.series.name, file.windows) == ("real/a.csv", ((2, 5),))
    assert (file.series.train_rows, file.series.period_s) == (3, 300.0)
    assert corpus.profiles == PROFILES
    assert [note for note in corpus.notes if "b.csv" in note]
    assert [note for note in corpus.notes if note.startswith("1 files with labels")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,value\n1,2\n", "a.csv: no column timestamp"),
        ("timestamp,value\nyesterday,2\n", "a.csv: a time is not like"),
        ("timestamp,value\n2026-01-01 00:00:00,high\n", "a.csv, column value: expected numbers"),
        ("timestamp,value\n2026-01-01 00:00:00\n", "a.csv, row 2: 1 cells under 2"),
        ("timestamp,value\n2026-01-01 00:00:00,1\n2026-01-01 00:05:00,1\n", "a window does not"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    """Which file, and what was expected."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text(text)
    windows = {"a.csv": [["2026-01-01 00:10:00", "2026-01-01 00:20:00"]]}
    (tmp_path / "combined_windows.json").write_text(json.dumps(windows))
    with pytest.raises(ModelError) as caught:
        load_nab(tmp_path)
    assert said in str(caught.value)


def test_published_figures_of_the_windowed_gaussian(data_dir: Path) -> None:
    """35.02 on these 34 files, and the points of files as NAB's own result table has them."""
    corpus = load_nab(data_dir / "nab")
    if len(corpus.files) != 34:
        pytest.skip("the figures are of the 34 files of the development data")
    files = [
        Scored(scores=windowed_gaussian(f.series).scores, windows=f.windows) for f in corpus.files
    ]
    found = [score_nab(files, profile).score for profile in corpus.profiles]
    assert found == pytest.approx([35.02, 16.66, 43.35], abs=0.005)
    points = score_nab(files, STD, threshold=1.0).files
    by_name = {
        f.series.name.rpartition("/")[2]: p for f, p in zip(corpus.files, points, strict=True)
    }
    published = {
        "elb_request_count_8c0756.csv": -0.138449197924,
        "ec2_disk_write_bytes_1ef3de.csv": -4.19089678552,
        "grok_asg_anomaly.csv": 2.37942230674,
        "exchange-3_cpc_results.csv": 2.50266326119,
        "ec2_cpu_utilization_c6585a.csv": -1.32,
        "art_load_balancer_spikes.csv": -0.692444609523,
    }
    assert {name: by_name[name] for name in published} == pytest.approx(published, abs=1e-9)


def test_chance_scores_as_low_as_published(data_dir: Path) -> None:
    """A random detector has 11.0 in the published table; here it stays near."""
    corpus = load_nab(data_dir / "nab")
    chance = np.random.default_rng(0)
    found = [
        score_nab(
            [
                Scored(scores=chance.random(len(f.series.values)), windows=f.windows)
                for f in corpus.files
            ],
            STD,
        ).score
        for _ in range(5)
    ]
    assert np.mean(found) == pytest.approx(11.0, abs=5.0)
