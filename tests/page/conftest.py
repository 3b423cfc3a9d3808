"""A real Chromium, a real broker and a real gateway for the tests of the operator's page."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.broker.conftest import cell, free_port, mosquitto, mosquitto_of
from tests.page.site import PageProcess, Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.broker.conftest import Mosquitto

__all__ = ["cell", "mosquitto", "mosquitto_of"]  # the plant of the tests of whole gateways


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The Chromium that is installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs chromium, which is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture
def watched(chromium: Browser) -> Iterator[Watched]:
    """A browser of which everything is noted, with nothing stored in it."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    found = Watched(context)
    try:
        yield found
        found.check()
    finally:
        context.close()


@pytest.fixture
def page_of(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Callable[[Path], PageProcess]]:
    """Pages to be started by a test, each beside the state `state` of this test's directory."""
    started: list[PageProcess] = []

    def start(config: Path) -> PageProcess:
        made = PageProcess(
            config, broker_port=mosquitto.port, state=tmp_path / "state", port=free_port()
        )
        made.start()
        started.append(made)
        return made

    try:
        yield start
    finally:
        codes = [made.stop() for made in started]
    assert not [code for code in codes if code], "a page did not end as it was asked to"
