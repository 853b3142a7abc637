"""The page in a real browser: one session through zoom, line, frame, region, clusters, composite and comparison."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.browser import barriers, choose, click, drag, press, severe, shown_revision, text, told, wait
from helpers.dashboard import KEY, serving
from helpers.fake_run import CENTRE, DISTANCE, FACTOR, PIXEL, FakeRun

from stream.core.commands import read_commands

pytestmark = pytest.mark.browser

SIZE = 41


def voxel_under(driver: Any) -> tuple[str, str]:
    """The place that the readout tells, in µm."""
    found = re.search(r"x (\S+) µm\s+y (\S+) µm", text(driver, "readout"))
    assert found is not None
    return found[1], found[2]


def test_through_the_tools_of_the_page(driver: Any, tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "cycled", size=SIZE, slices=2, clusters=True)
    other = FakeRun(tmp_path / "pristine", size=SIZE)
    run.advance(0.6)
    other.advance(1.0, "complete")
    driver.get("about:blank")
    severe(driver)
    with serving(run) as url:
        driver.get(f"{url}/#key={KEY}")
        wait(driver, lambda d: shown_revision(d) == "1", "the map")
        zoom_and_move(driver)
        line_and_patterns(driver)
        frame_and_rings(driver)
        region_becomes_a_map(driver, run)
        clusters_are_named(driver, run)
        elements_go_with_phases(driver)
        three_maps_in_one(driver)
        beside_another(driver)
        assert barriers(driver) == []
        assert severe(driver) == []


def zoom_and_move(driver: Any) -> None:
    canvas = driver.find_element("id", "map")
    small = "return document.querySelector('[data-map=global] canvas').toDataURL()"
    before = driver.execute_script(small)
    drag(driver, canvas, (0.5, 0.5), (0.6, 0.5))
    assert voxel_under(driver) == (
        "+4.0",
        "+0.0",
    )  # there is nothing to move at zoom 1: a drag leaves the map where it is
    for _ in range(3):
        click(driver, "zoom-in")
    wait(driver, lambda d: told(d, "map", "zoom") == "3.38", "the zoom")
    wait(driver, lambda d: d.execute_script(small) != before, "the small maps to follow")
    drag(driver, canvas, (0.5, 0.5), (0.9, 0.5))  # 0.4 of 41 / 3.375 voxels: the pointer stays on the middle one
    assert voxel_under(driver) == ("+0.0", "+0.0")
    assert not driver.find_element("id", "voxel-body").is_displayed()  # a drag is no click
    press(driver, "0")
    wait(driver, lambda d: told(d, "map", "zoom") == "1.00", "the whole map")


def line_and_patterns(driver: Any) -> None:
    canvas = driver.find_element("id", "map")
    click(driver, "line")
    drag(driver, canvas, (0.25, 0.5), (0.75, 0.5))
    wait(driver, lambda d: told(d, "profile-map", "points") == "21", "the patterns along the line")
    assert text(driver, "profile-note") == "21 voxels, 20.0 µm"
    assert driver.find_element("css selector", "#profile-plot canvas").is_displayed()
    click(driver, "line")
    canvas.click()
    press(driver, "p", *[chr(0xE015)] * 4, "p")  # four voxels down
    wait(driver, lambda d: told(d, "profile-map", "points") == "5", "a line by the keyboard")
    click(driver, "profile-close")
    assert not driver.find_element("id", "profile").is_displayed()


def frame_and_rings(driver: Any) -> None:
    from selenium.webdriver import ActionChains

    frame = driver.find_element("id", "frame")
    wait(driver, lambda d: "frame" in text(d, "frame-number"), "the frame")
    choose(driver, "rings", "LaB6")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", frame)
    size, ring = frame.size["width"], 40  # pixels of the reduced frame from the beam, in its row
    scale = size / 140
    offset = [
        round((CENTRE[1] + ring + 0.5) * scale - size / 2),
        round((CENTRE[0] + 0.5) * scale + 5 * scale - size / 2),
    ]
    ActionChains(driver).move_to_element_with_offset(frame, *offset).perform()
    found = re.search(r"2θ (\S+)°\s+q (\S+) Å⁻¹\s+d (\S+) Å", text(driver, "frame-readout"))
    assert found is not None
    two_theta, q, d = (float(value) for value in found.groups())
    expected = np.rad2deg(np.arctan(ring * FACTOR * PIXEL / DISTANCE))
    assert two_theta == pytest.approx(expected, abs=0.5)  # a pixel of the screen
    assert d == pytest.approx(0.62 / (2 * np.sin(np.deg2rad(two_theta) / 2)), rel=1e-3)
    assert q == pytest.approx(2 * np.pi / d, rel=1e-3)


def region_becomes_a_map(driver: Any, run: FakeRun) -> None:
    click(driver, "region")
    drag(driver, driver.find_element("css selector", "#sum-plot .u-over"), (0.3, 0.5), (0.4, 0.5))
    low, high = (float(driver.find_element("id", f"region-{end}").get_attribute("value")) for end in ("low", "high"))
    assert (low, high) == pytest.approx((1 + 0.3 * 19, 1 + 0.4 * 19), abs=0.2)
    driver.find_element("id", "region-name").send_keys("glass")
    click(driver, "region-add")
    wait(driver, lambda d: "asked for" in text(d, "region-note"), "the answer")
    command = read_commands(run.directory.commands)[-1]
    assert command.arguments == {"regions": [{"name": "glass", "range": [low, high]}]}
    run.advance(0.7)
    wait(driver, lambda d: told(d, "map", "map") == "glass", "the region's map")
    wait(driver, lambda d: told(d, "sinogram", "sinogram") == "glass", "the region's sinogram")
    assert not driver.find_element("id", "region-form").is_displayed()


def clusters_are_named(driver: Any, run: FakeRun) -> None:
    driver.find_element("css selector", "[data-map=cluster_index]").click()
    wait(driver, lambda d: d.find_element("id", "labels").is_displayed(), "the form for the clusters")
    assert driver.find_element("css selector", "#labels-plot canvas").is_displayed()
    for cluster, label in ((1, "particle"), (4, "empty")):
        driver.find_element("css selector", f"#labels [data-cluster='{cluster}'] [value={label}]").click()
    click(driver, "labels-send")
    wait(driver, lambda d: "Sent as command 2" in text(d, "labels-note"), "the answer")
    command = read_commands(run.directory.commands)[-1]
    named = [{"cluster": 1, "label": "particle"}, {"cluster": 4, "label": "empty"}]
    assert (command.kind, command.arguments["labels"]) == ("labels", named)


def elements_go_with_phases(driver: Any) -> None:
    assert driver.find_element("css selector", "#spectrum-plot canvas").is_displayed()  # of the chosen voxel
    assert "Ni 0.93 −0.12" in text(driver, "elements-table")
    driver.find_element("css selector", "#elements-table [tabindex]").click()
    wait(driver, lambda d: told(d, "map", "map") == "xrf_Ni", "the element's map")


def three_maps_in_one(driver: Any) -> None:
    press(driver, "c")
    wait(driver, lambda d: text(d, "map-title") == "Composite", "the composite")
    pixel = (
        "const c = document.getElementById('map');"
        "return [...c.getContext('2d').getImageData(c.width / 2, c.height * 0.05, 1, 1).data]"
    )
    choose(driver, "red", "carbon")
    choose(driver, "blue", "glass")
    wait(driver, lambda d: (lambda r, g, b, _: b > 120 > max(r, g))(*d.execute_script(pixel)), "blue glass")
    click(driver, "rgb")
    wait(driver, lambda d: text(d, "map-title") == "Fluorescence of Ni, biased by self-absorption", "the map again")


def beside_another(driver: Any) -> None:
    driver.find_element("css selector", "[data-map=strain_layered]").click()
    choose(driver, "compare-run", "pristine")
    wait(driver, lambda d: told(d, "compare-other", "map") == "strain_layered", "the other run's map")
    table = text(driver, "compare-table")
    assert re.search(r"Cell of layered, a 2\.875\d+ ± \S+\sÅ 2\.875\d+ ± \S+\sÅ", table)
    assert re.search(r"Microstrain ε of layered \(\S+ ± \S+\)\s×10⁻⁴", table)
    assert "@pristine" in text(driver, "compare-key")
    assert "layered" in text(driver, "compare-key")
