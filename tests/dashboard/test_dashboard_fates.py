"""What happened to every frame, as it is told: gaps, reasons, notes and warnings in status, metrics and on the page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from helpers.browser import chromium, look, need_browser, wait, whole_page
from helpers.dashboard import serving
from helpers.fake_run import FakeRun
from prometheus_client.parser import text_string_to_metric_families

from stream.core.errors import Reject
from stream.core.files import read_json, write_json
from stream.ingest.ledger import FrameRow, Ledger

SENTENCES = {
    "recording": "/data/run/recording/raw-0001.h5 cannot be written: No space left on device",
    "back_pressure": "the sender has been blocked for 12 s: the disk takes 3 frames/s",
    "stolen": "frames 1, 3, 5 … of series 7 never come: another receiver pulls from tcp://10.0.0.1:31001",
}


def book(run: FakeRun, ledger: Ledger, frames: range, **state: Any) -> None:
    """As ingest would: these frames, and one message of every other fate."""
    for frame in frames:
        row = FrameRow(slot=int(run.grid.visit[frame]), series="1", frame=frame, monitor=None, received=time.time())
        ledger.add(row)
    for n, reason in enumerate(Reject):
        for _ in range(n + 1):
            ledger.reject(reason)
    ledger.drop("superseded")
    ledger.duplicate()
    now = time.time()
    ledger.commit(phase="acquiring", started=now, updated=now, received=ledger.accounted + 5, **state)


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return FakeRun(tmp_path, size=41)


@pytest.fixture
def ledger(run: FakeRun) -> Iterator[Ledger]:
    ledger = Ledger.open(run.directory.ledger)
    yield ledger
    ledger.close()


def test_notes_are_the_newest_events_and_warnings_are_null_when_all_is_well(run: FakeRun, ledger: Ledger) -> None:
    for n in range(25):
        ledger.event(f"note {n}")
    book(run, ledger, range(0))
    with serving(run) as url, httpx.Client(base_url=f"{url}/api/v1", trust_env=False) as client:
        status = client.get("/status").json()
        assert [text for _, text in status["notes"]] == [f"note {n}" for n in range(24, 4, -1)]
        assert all(abs(at - time.time()) < 60 for at, _ in status["notes"])
        names = ("failure", "recording_suspended", "back_pressure", "stolen", "disconnected")
        assert [status[name] for name in names] == [None, None, None, None, False]
        book(run, ledger, range(1), **SENTENCES, disconnected=True)
        status = client.get("/status").json()
        assert [status[name] for name in names] == [None, *SENTENCES.values(), True]
        book(run, ledger, range(1, 2), **dict.fromkeys(SENTENCES))
        assert client.get("/status").json()["recording_suspended"] is None


def test_metrics_have_the_ledgers_reasons_and_keep_its_law(run: FakeRun, ledger: Ledger) -> None:
    book(run, ledger, range(0, 300, 3))
    with serving(run) as url, httpx.Client(base_url=url, trust_env=False) as client:
        frames = client.get("/api/v1/status").json()["frames"]
        families = list(text_string_to_metric_families(client.get("/metrics").text))
    samples = [sample for family in families for sample in family.samples]
    fates = {
        (sample.labels["fate"], sample.labels["reason"]): sample.value
        for sample in samples
        if sample.name == "braggstream_frames_total"
    }
    received = fates.pop(("received", ""))
    in_flight = next(sample.value for sample in samples if sample.name == "braggstream_frames_in_flight")
    assert received == sum(fates.values()) + in_flight == frames["received"]
    assert {reason: n for (fate, reason), n in fates.items() if fate == "rejected"} == frames["rejected"]
    assert frames["rejected"] == {reason.value: n + 1 for n, reason in enumerate(Reject)}
    assert {reason: n for (fate, reason), n in fates.items() if fate == "dropped"} == {"superseded": 1}


def test_a_failure_is_told_whatever_the_maps_say(run: FakeRun) -> None:
    run.advance(0.2)
    with serving(run) as url:
        assert httpx.get(f"{url}/api/v1/status", trust_env=False).json()["status"] == "acquiring"
        failed = {**(read_json(run.directory.state) or {}), "status": "failed", "failure": "no space left"}
        write_json(run.directory.state, failed)
        status = httpx.get(f"{url}/api/v1/status", trust_env=False).json()
        assert (status["status"], status["failure"]) == ("failed", "no space left")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    need_browser()
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


OVERFLOWING = """
return [...document.querySelectorAll("#ledger, #gaps, #notes li, #socket, #warnings li")].filter((part) => {
  const box = part.parentElement.closest(".panel, body").getBoundingClientRect(), own = part.getBoundingClientRect();
  return own.right > box.right + 1 || own.left < box.left - 1 || part.scrollWidth > part.clientWidth + 1;
}).map((part) => part.id || part.textContent)
"""


@pytest.mark.browser
def test_the_page_shows_gaps_reasons_notes_and_warnings_within_its_width(
    driver: Any, run: FakeRun, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.event("series 1 opened by its header")
    ledger.event("the mask of series " + "x" * 200 + " is not used <b>at all</b>")
    book(run, ledger, range(0, 2000, 3), **SENTENCES, disconnected=True)
    run._ledger = ledger
    run.advance(0.0)

    def text(name: str) -> str:
        return str(driver.find_element("id", name).text)

    try:
        with serving(run) as url:
            for width, height, dark in ((1440, 900, True), (1440, 900, False), (390, 844, True), (390, 844, False)):
                look(driver, width, height, dark)
                driver.get(url)
                wait(
                    driver, lambda d: "Foreign series" in text("ledger") or "foreign series" in text("ledger"), "counts"
                )
                gaps = text("gaps")
                assert gaps.startswith("Missing 1–2, 4–5, 7–8")
                assert gaps.endswith(" and 654 more")  # 666 between the frames and 12 listed; the last is still to come
                notes = [item.text for item in driver.find_elements("css selector", "#notes li")]
                assert "<b>at all</b>" in notes[0]
                assert notes[1].endswith("series 1 opened by its header")
                strip = text("warnings")
                assert all(sentence in strip for sentence in SENTENCES.values())
                assert "socket is closed" in text("socket")
                assert driver.execute_script(OVERFLOWING) == []
                assert driver.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0
                whole_page(driver, tmp_path / f"{width}-{'dark' if dark else 'light'}.png")
            ledger.commit(**dict.fromkeys(SENTENCES))
            strip = driver.find_element("id", "warnings")
            wait(driver, lambda d: not strip.is_displayed(), "a page without warnings")
            write_json(run.directory.state, {"status": "failed", "failure": "analyse died 8 times in a row"})
            wait(driver, lambda d: "analyse died 8 times" in text("warnings"), "the failure")
            assert text("status") == "failed"
        wait(driver, lambda d: text("age").startswith("stale"), "that the server is gone")
        assert text("status") == "failed"
    finally:
        look(driver)
