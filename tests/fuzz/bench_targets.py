"""Files of the public benchmarks, as whoever downloaded them has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from models.bench.nab_files import load_nab
from models.bench.tep_files import WIDTH, read_tep
from models.errors import ModelError
from tests.fuzz.files import file_target
from tests.fuzz.mutate import mutate_json, mutate_text
from tests.fuzz.target import FILE, Target

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.target import Begin, Mutate, Read

TABLE: Final = "timestamp,value\n" + "".join(f"2014-04-10 07:{k:02d}:00,{k}.5\n" for k in range(40))
NAB: Final = {
    "data/real/a.csv": TABLE.encode(),
    "labels/combined_windows.json": (
        b'{"real/a.csv":[["2014-04-10 07:05:00.000000","2014-04-10 07:09:00.000000"]]}'
    ),
    "config/profiles.json": (
        b'{"standard":{"CostMatrix":{"tpWeight":1.0,"fnWeight":1.0,"fpWeight":0.11}},'
        b'"reward_low_FP_rate":{"CostMatrix":{"tpWeight":1.0,"fnWeight":1.0,"fpWeight":0.22}},'
        b'"reward_low_FN_rate":{"CostMatrix":{"tpWeight":1.0,"fnWeight":2.0,"fpWeight":0.11}}}'
    ),
}


def _begin_nab(name: str) -> Begin:
    """A folder of which one file is damaged."""

    def begin(scratch: Path) -> Read:
        for one, content in NAB.items():
            (scratch / one).parent.mkdir(parents=True, exist_ok=True)
            (scratch / one).write_bytes(content)

        def read(data: bytes) -> bool:
            (scratch / name).write_bytes(data)
            corpus = load_nab(scratch)
            for file in corpus.files:
                rows = len(file.series.values)
                assert all(0 <= begin < end <= rows for begin, end in file.windows)
            return True

        return read

    return begin


def _read_tep(path: Path) -> bool:
    values = read_tep(path)
    assert values.shape[1] == WIDTH
    assert values.dtype == np.float64
    return True


def _target(name: str, file: str, mutate: Mutate) -> Target:
    return Target(
        name=f"bench-{name}",
        count=FILE,
        begin=_begin_nab(file),
        refusals=(ModelError,),
        seeds=lambda: [NAB[file]],
        mutate=mutate,
    )


TARGETS: Final = (
    _target("nab-table", "data/real/a.csv", mutate_text),
    _target("nab-windows", "labels/combined_windows.json", mutate_json),
    _target("nab-profiles", "config/profiles.json", mutate_json),
    file_target(
        "bench-tep",
        _read_tep,
        refusals=(ModelError,),
        seeds=lambda: [b"\n".join(b" ".join([b"1.5e+01"] * WIDTH) for _ in range(4))],
        mutate=mutate_text,
    ),
)
