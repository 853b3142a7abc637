"""The page before a real scan: the map grows, a region is drawn, the server is killed and comes back."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.browser import (
    barriers,
    choose,
    click,
    coloured,
    drag,
    severe,
    shown_revision,
    text,
    told,
    wait,
    whole_page,
)
from helpers.chain import Command, Site, tiny_site, until

from stream.core.rundir import RunDirectory

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

RATE = 2  # frames a second, of 144: the run is still measuring when the region is drawn and the server killed


@dataclass
class Scan:
    """A scan that goes on."""

    site: Site
    run: Command

    @property
    def link(self) -> str:
        """The page with the key."""
        key = RunDirectory(self.site.folder / "run").key.read_text().strip()
        return f"http://127.0.0.1:{self.site.page}/#key={key}"


@pytest.fixture
def scan(tmp_path: Path) -> Iterator[Scan]:
    site = tiny_site(tmp_path, classification={"model": "auto"})
    beamline, run = site.command("simulate", "--config", site.path, "--rate", str(RATE)), site.run(once=False)
    try:
        until(site.on_page, "a map on the page", 240)
        yield Scan(site, run)
        run.interrupt()
    finally:
        run.end()
        beamline.end()


def test_a_scan_is_followed_steered_and_looked_into(driver: Any, scan: Scan, tmp_path: Path) -> None:
    driver.get("about:blank")
    severe(driver)
    driver.get(scan.link)
    first = wait(driver, shown_revision, "the first map", 60)
    wait(driver, lambda d: int(shown_revision(d) or 0) >= int(first) + 2, "the map to grow", 60)
    click(driver, "map")
    wait(driver, lambda d: told(d, "voxel-body", "voxel"), "the voxel")
    assert driver.find_element("css selector", "#voxel-plot canvas").is_displayed()
    click(driver, "region")
    drag(driver, driver.find_element("css selector", "#sum-plot .u-over"), (0.3, 0.5), (0.5, 0.5))
    driver.find_element("id", "region-name").send_keys("drawn")
    click(driver, "region-add")
    wait(driver, lambda d: told(d, "map", "map") == "drawn", "the region's map", 60)
    assert text(driver, "status") == "acquiring"
    assert severe(driver) == []
    kill_the_server(driver, scan.run)
    wait(driver, lambda d: text(d, "status") == "complete", "the end", 120)
    severe(driver)  # it complained of the server that was away, as it should
    everything_else(driver)
    the_same_run_beside(driver, scan)
    assert severe(driver) == []
    assert barriers(driver) == []
    whole_page(driver, tmp_path / "out" / "screenshots" / "real-scan.png")


def kill_the_server(driver: Any, run: Command) -> None:
    """`kill -9`: the supervisor starts another, and the page finds it."""
    os.kill(run.children()["publish"], signal.SIGKILL)
    wait(driver, lambda d: text(d, "status") == "disconnected", "that it is disconnected")
    wait(driver, lambda d: text(d, "status") != "disconnected", "the reconnection", 60)


def everything_else(driver: Any) -> None:
    click(driver, "line")
    drag(driver, driver.find_element("id", "map"), (0.2, 0.5), (0.8, 0.5))
    wait(driver, lambda d: told(d, "profile-map", "points"), "the patterns along the line")
    choose(driver, "rings", "layered")
    choose(driver, "sinogram-name", "drawn")
    wait(driver, lambda d: told(d, "sinogram", "sinogram") == "drawn", "the region's sinogram")
    click(driver, "rgb")
    wait(driver, lambda d: text(d, "map-title") == "Composite", "the composite")
    driver.find_element("css selector", "[data-map=class_index]").click()
    wait(driver, lambda d: told(d, "map", "map") == "class_index", "the classes")
    for plot in ("sum-plot", "voxel-plot", "residual-plot"):
        assert coloured(driver, f"#{plot} canvas") > 50, plot
    integrated = next(line for line in text(driver, "ledger").splitlines() if line.startswith("Integrated"))
    assert integrated.split()[1:] == ["144", "100", "%"]


def the_same_run_beside(driver: Any, scan: Scan) -> None:
    """A copy of the run compared with it: the same map, the same means."""
    folder = scan.site.folder
    shutil.copytree(folder / "run", folder / "twin", ignore=shutil.ignore_patterns("key", "tiled"))
    driver.get("about:blank")
    driver.get(scan.link)
    choose(driver, "compare-run", "twin")
    wait(driver, lambda d: told(d, "compare-other", "map"), "the other run's map")
    same = "return ['own', 'other'].map((side) => document.getElementById(`compare-${side}`).toDataURL())"
    wait(driver, lambda d: len(set(d.execute_script(same))) == 1, "the same map twice")
    assert coloured(driver, "#compare-other") > 100
    assert coloured(driver, "#compare-plot canvas") > 100
