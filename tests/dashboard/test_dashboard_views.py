"""The page in a real browser: one session through zoom, line, frame, region, clusters, composite and comparison."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.browser import (
    barriers,
    choose,
    click,
    coloured,
    drag,
    hear_canvases,
    press,
    severe,
    shown_revision,
    text,
    told,
    wait,
    written,
)
from helpers.dashboard import KEY, serving
from helpers.fake_run import CENTRE, COLUMNS, DISTANCE, FACTOR, PIXEL, ROWS, FakeRun
from PIL import Image

from stream.core.commands import read_commands
from stream.dashboard.colours import autoscale, lookup

pytestmark = pytest.mark.browser

SIZE = 41
MASK, RING, OWN, OTHER, TICK = (51, 71, 91), (126, 227, 255), (116, 184, 205), (227, 176, 98), (86, 180, 233)
"""The style sheet's inks of the dark theme: of masked pixels, rings, both runs' patterns, lines of the first phase."""
FRAME_PIXEL = "return [...document.getElementById('frame').getContext('2d').getImageData(...arguments, 1, 1).data]"


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
    hear_canvases(driver)
    with serving(run) as url:
        driver.get(f"{url}/#key={KEY}")
        wait(driver, lambda d: shown_revision(d) == "1", "the map")
        figures_of_the_moment(driver, run)
        zoom_and_move(driver)
        scales_units_and_errors(driver, run)
        by_keyboard(driver)
        maps_are_saved(driver, run, tmp_path / "saved")
        line_and_patterns(driver)
        frame_and_rings(driver, run)
        region_becomes_a_map(driver, run)
        sinogram_and_residual(driver, run)
        clusters_are_named(driver, run)
        elements_go_with_phases(driver)
        three_maps_in_one(driver)
        beside_another(driver)
        assert barriers(driver) == []
        assert severe(driver) == []


def figures_of_the_moment(driver: Any, run: FakeRun) -> None:
    expected = ["204 Hz", "12 ms", f"{0.4 * run.grid.size / 203.7:.0f} s"]

    def told_of_now(d: Any) -> bool:
        run.receive(0.6)  # a rate that was told long ago is not shown
        return [text(d, name) for name in ("rate", "latency", "eta")] == expected

    wait(driver, told_of_now, "rate, latency, time left")


def point(driver: Any, name: str, u: float, v: float) -> None:
    """Point at a place of a canvas, in fractions of its width and height."""
    from selenium.webdriver import ActionChains

    canvas = driver.find_element("id", name)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    offset = [round((at - 0.5) * canvas.size[side]) for at, side in ((u, "width"), (v, "height"))]
    ActionChains(driver).move_to_element_with_offset(canvas, *offset).perform()


def show(driver: Any, name: str) -> None:
    """Choose a map from the list."""
    entry = driver.find_element("css selector", f"#maps [data-map='{name}']")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", entry)
    entry.click()
    wait(driver, lambda d: told(d, "map", "map") == name, name)


def scales_units_and_errors(driver: Any, run: FakeRun) -> None:
    maps = np.load(run.directory.revision)
    strain, error = (maps[f"maps/{name}_layered"][0] for name in ("strain", "strain_error"))
    show(driver, "strain_layered")
    y, x = np.argwhere(np.isfinite(strain) & np.isfinite(error))[20]
    point(driver, "map", (x + 0.5) / SIZE, (y + 0.5) / SIZE)
    found = re.search(r"\((\S+) ± (\S+)\)\s×10⁻⁴", text(driver, "readout"))
    assert found is not None, text(driver, "readout")
    assert [float(part) for part in found.groups()] == pytest.approx([1e4 * strain[y, x], 1e4 * error[y, x]], rel=0.05)
    wait(driver, lambda d: "×10⁻⁴" in written(d, "colourbar"), "the colour bar")
    assert coloured(driver, "#colourbar") > 100
    assert "10 µm" in written(driver, "map")
    show(driver, "a_layered")
    wait(driver, lambda d: "Å" in written(d, "colourbar"), "the colour bar's unit")
    assert text(driver, "map-sub").startswith("in Å")
    show(driver, "coverage")
    wait(driver, lambda d: {"0.0", "1.0"} <= set(written(d, "colourbar")), "a scale from 0 to 1")
    show(driver, "phase_layered")


def maps_are_saved(driver: Any, run: FakeRun, folder: Path) -> None:
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    expected = np.load(run.directory.revision)["maps/phase_layered"][0]
    read = {
        "csv": lambda file: np.loadtxt(file, delimiter=","),
        "tiff": tifffile.imread,
        "npy": np.load,
        "png": lambda file: np.asarray(Image.open(file))[..., 3] > 0,
    }
    for form, load in read.items():
        click(driver, "save")
        driver.find_element("css selector", f"[data-format={form}]").click()
        file = folder / f"ncm622-cycled_phase_layered_slice0.{form}"
        wait(driver, lambda _, file=file: file.is_file(), file.name)
        want = np.isfinite(expected) if form == "png" else expected
        np.testing.assert_allclose(load(file), want, rtol=1e-5, err_msg=form)


def by_keyboard(driver: Any) -> None:
    for key, zoom in (("+", "1.50"), ("+", "2.25"), ("-", "1.50"), ("0", "1.00")):
        press(driver, key)
        wait(driver, lambda d, zoom=zoom: told(d, "map", "zoom") == zoom, f"zoom {zoom}")
    for key, index in ((".", "1"), (",", "0")):
        press(driver, key)
        wait(driver, lambda d, i=index: d.find_element("id", "slice").get_attribute("value") == i, f"slice {index}")
    for pressed in ("true", "false"):
        press(driver, "l")
        assert driver.find_element("id", "log").get_attribute("aria-pressed") == pressed
    press(driver, "r")
    assert driver.switch_to.active_element.get_attribute("id") == "region-name"
    press(driver, chr(0xE00C))  # escape
    assert not driver.find_element("id", "region-form").is_displayed()


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
    wait(driver, lambda d: "2 µm" in written(d, "map"), "the scale bar to follow")
    drag(driver, canvas, (0.5, 0.5), (0.9, 0.5))  # 0.4 of 41 / 3.375 voxels: the pointer stays on the middle one
    assert voxel_under(driver) == ("+0.0", "+0.0")
    assert not driver.find_element("id", "voxel-body").is_displayed()  # a drag is no click
    press(driver, "0")
    wait(driver, lambda d: told(d, "map", "zoom") == "1.00", "the whole map")


LINE = "return document.getElementById('profile-map').toDataURL()"


def line_and_patterns(driver: Any) -> None:
    canvas = driver.find_element("id", "map")
    click(driver, "line")
    drag(driver, canvas, (0.25, 0.5), (0.75, 0.5))
    wait(driver, lambda d: told(d, "profile-map", "points") == "21", "the patterns along the line")
    assert text(driver, "profile-note") == "21 voxels, 20.0 µm"
    assert driver.find_element("css selector", "#profile-plot canvas").is_displayed()
    colours = driver.execute_script(LINE)
    click(driver, "profile-curves")
    wait(driver, lambda d: d.execute_script(LINE) != colours, "the patterns as curves")
    assert coloured(driver, "#profile-map") > 100
    click(driver, "line")
    canvas.click()
    press(driver, "p", *[chr(0xE015)] * 4, "p")  # four voxels down
    wait(driver, lambda d: told(d, "profile-map", "points") == "5", "a line by the keyboard")
    click(driver, "profile-close")
    assert not driver.find_element("id", "profile").is_displayed()


def on_frame(row: float, column: float) -> tuple[float, float]:
    """A pixel's middle in fractions of the canvas, on which the frame of 130 × 140 stands in the middle."""
    return (column + 0.5) / COLUMNS, (row + 0.5 + (COLUMNS - ROWS) / 2) / COLUMNS


def frame_and_rings(driver: Any, run: FakeRun) -> None:
    wait(driver, lambda d: "frame" in text(d, "frame-number"), "the frame")
    told_of = "Brightest pixel 412, saturated 3, masked 60 123; shown 1:16, logarithmic"
    assert text(driver, "frame-note") == told_of
    brightness = np.log10(1 + np.load(run.directory.frame)["image"])
    level = brightness / autoscale(brightness)[1]
    size = driver.execute_script("return document.getElementById('frame').width")
    for row, column in ((20, 30), (60, 100), (90, 64), (60, 64), (65, 20)):
        u, v = on_frame(row, column)
        pixel = driver.execute_script(FRAME_PIXEL, int(u * size), int(v * size))
        seen = level[row, column]
        expected = MASK if np.isnan(seen) else lookup("magma")[round(255 * min(1.0, float(seen)))]
        np.testing.assert_allclose(pixel[:3], expected, atol=3, err_msg=f"{row} {column}")
    point(driver, "frame", *on_frame(65, 20))
    assert text(driver, "frame-readout").startswith("masked")
    assert coloured(driver, "#frame", RING) == 0
    choose(driver, "rings", "LaB6")
    wait(driver, lambda d: coloured(d, "#frame", RING) > 100, "the rings")
    ring = 40  # pixels of the reduced frame from the beam, in its row
    point(driver, "frame", *on_frame(CENTRE[0], CENTRE[1] + ring))
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
    show(driver, "cluster_index")
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


def sinogram_and_residual(driver: Any, run: FakeRun) -> None:
    row, column = 18, 10
    point(driver, "sinogram", (column + 0.5) / SIZE, (row + 0.5) / run.angles)
    found = re.search(r"−(\S+) µm\s+(\S+)°\s+(\S+)", text(driver, "sinogram-note"))
    assert found is not None, text(driver, "sinogram-note")
    value = np.load(run.directory.revision)["sinograms/glass"][0, row, column]
    expected = [-run.grid.positions[column], run.grid.angles[row], value]
    assert [float(part) for part in found.groups()] == pytest.approx(expected, rel=1e-3)
    wait(driver, lambda d: coloured(d, "#residual-plot canvas") > 50, "the curve of the residual")
    assert float(text(driver, "residual-now")) == pytest.approx(run._residuals[-1], rel=1e-2)


def beside_another(driver: Any) -> None:
    show(driver, "strain_layered")
    choose(driver, "compare-run", "pristine")
    wait(driver, lambda d: told(d, "compare-other", "map") == "strain_layered", "the other run's map")
    table = text(driver, "compare-table")
    assert re.search(r"Cell of layered, a 2\.875\d+ ± \S+\sÅ 2\.875\d+ ± \S+\sÅ", table)
    assert re.search(r"Microstrain ε of layered \(\S+ ± \S+\)\s×10⁻⁴", table)
    assert "pristine, " in text(driver, "compare-key")
    assert "layered" in text(driver, "compare-key")
    for line in (OWN, OTHER, TICK):
        assert coloured(driver, "#compare-plot canvas", line) > 5, line
    maps = "return ['own', 'other'].map((side) => document.getElementById(`compare-${side}`).toDataURL())"
    before = driver.execute_script(maps)
    click(driver, "zoom-in")
    wait(driver, lambda d: all(a != b for a, b in zip(d.execute_script(maps), before, strict=True)), "both to zoom")
