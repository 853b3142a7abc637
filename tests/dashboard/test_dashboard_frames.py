"""Processor time of the page's main thread for what a hand does, with a scan of 12 slices of 200 × 200 voxels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers.browser import look, shown_revision, told, wait
from helpers.dashboard import serving
from helpers.fake_run import FakeRun

SIZE, SLICES, STEPS = 200, 12, 40
FRAME = 16.0  # ms
DRAWN = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
QUIET = "setTimeout(arguments[0], 500)"
"""Its maps have come and are drawn."""
WHEEL, NOTCH = "mouseWheel", 100

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def page(driver: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Such a run on a laptop's screen: the map, eight small ones, patterns, sinogram, frame, particles."""
    run = FakeRun(tmp_path_factory.mktemp("large"), size=SIZE, slices=SLICES, bins=24)
    run.advance(1.0, "complete")
    with serving(run) as url:
        look(driver)
        driver.get(url)
        wait(driver, lambda d: shown_revision(d) == "1", "the map", 60)
        driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        driver.execute_async_script(QUIET)
        yield driver
        driver.execute_cdp_cmd("Performance.disable", {})
        driver.get("about:blank")


def busy(driver: Any) -> float:
    """Processor time of the main thread so far, in ms: scripts, styles, layout and paint."""
    metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return 1000 * next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")


def spent(driver: Any, act: Callable[[int], None], until: str = DRAWN) -> npt.NDArray[np.float64]:
    """What each step of `act` takes of the main thread, in ms, until its frame is drawn."""
    found = []
    for n in range(STEPS):
        before = busy(driver)
        act(n)
        driver.execute_async_script(until)
        found.append(busy(driver) - before)
    return np.array(found)


def told_of(what: str, found: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Median and 95th percentile, printed."""
    median, most = np.quantile(found, (0.5, 0.95))
    print(f"{what}: median {median:.1f} ms, p95 {most:.1f} ms of the main thread")
    return float(median), float(most)


def mouse(driver: Any, kind: str, u: float = 0.5, v: float = 0.5, **more: Any) -> None:
    """An event of the mouse over the map; its place in fractions of the map's width."""
    x, y, width = driver.execute_script(
        "const box = document.getElementById('map').getBoundingClientRect(); return [box.x, box.y, box.width]"
    )
    event = {"type": kind, "x": x + u * width, "y": y + v * width, **more}
    driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)


def notch(driver: Any, up: bool) -> None:
    """Turn the wheel over the map."""
    mouse(driver, WHEEL, deltaX=0, deltaY=-NOTCH if up else NOTCH)


def around(n: int) -> dict[str, float]:
    """A place on a circle about the middle of the map."""
    turn = 2 * np.pi * n / STEPS
    return {"u": 0.5 + 0.2 * np.cos(turn), "v": 0.5 + 0.2 * np.sin(turn)}


def test_cursor_zoom_and_pan_fit_a_frame(page: Any) -> None:
    steps = {
        "cursor": lambda n: mouse(page, "mouseMoved", **around(n)),
        "zoom": lambda n: notch(page, up=n % 20 < 10),
        "pan": lambda n: mouse(page, "mouseMoved", **around(n), buttons=1),
    }
    looking = np.median(spent(page, lambda _: None))  # what two calls of the driver take
    for what, act in steps.items():
        if what == "pan":
            for _ in range(5):
                notch(page, up=True)
            mouse(page, "mousePressed", button="left", buttons=1, clickCount=1)
        median, most = told_of(what, spent(page, act) - looking)
        assert median < FRAME
        assert most < FRAME
    mouse(page, "mouseReleased", button="left", clickCount=1)
    assert told(page, "map", "zoom") == "2.49"


def test_another_slice_is_drawn_in_a_few_frames(page: Any) -> None:
    """The map with its errors, mask and classes, eight small maps and a sinogram, each as it comes."""
    keys = itertools.cycle("." * (SLICES - 1) + "," * (SLICES - 1))

    def change(_: int) -> None:
        key = next(keys)
        for kind in ("keyDown", "keyUp"):
            page.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, "key": key})

    median, _ = told_of("slice", spent(page, change, QUIET))
    assert median < 10 * FRAME
