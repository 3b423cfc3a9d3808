"""A broker, and a cell whose fault rings now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.broker.cells import listener
from tests.broker.conftest import mosquitto, mosquitto_of
from tests.clients.plant import Plant, cell_of_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.broker.conftest import Mosquitto

__all__ = ["mosquitto", "mosquitto_of"]  # fixtures of the tests of whole gateways


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Run each test of this folder in a thread of its own.

    Playwright takes one browser session a thread, and other tests keep theirs in the main one.
    """
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pyfuncitem.obj, **given).result()
    return True


@pytest.fixture
def plant(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Plant]:
    """A cell that has told nothing yet; a listener has heard all that Andon says."""
    folder = tmp_path / "cell"
    folder.mkdir()
    with listener(mosquitto, tmp_path / "heard") as heard:
        yield Plant(cell=cell_of_now(folder), broker=mosquitto, heard=heard)
