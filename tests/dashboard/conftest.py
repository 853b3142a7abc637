"""One run in the middle of its scan, served over a real socket; one browser for all tests of the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from helpers.browser import chromium, need_browser
from helpers.dashboard import serving
from helpers.fake_run import FakeRun


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    run = FakeRun(tmp_path_factory.mktemp("run"), size=21, slices=2)
    run.advance(0.5)
    return run


@pytest.fixture(scope="module")
def client(run: FakeRun) -> Iterator[httpx.Client]:
    with serving(run) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    need_browser()
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver
