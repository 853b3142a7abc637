"""The page in a real browser: it fills, follows, answers a click, survives a restart, and is quiet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from helpers.browser import barriers, coloured, look, press, severe, shown_revision, text, told, wait, whole_page
from helpers.dashboard import KEY, SCAN, serving
from helpers.fake_run import FakeRun
from helpers.ports import free_port

from stream.analyse.crystal.reasons import Reason
from stream.core.commands import read_commands
from stream.core.revision import Revision

pytestmark = pytest.mark.browser

CENTRE = "return [...document.getElementById('map').getContext('2d').getImageData({x}, {y}, 1, 1).data]"


def fit_voxel(revision: Revision, index: int, pattern: Any) -> dict[str, Any]:
    """A fit whose lines are known: intercept 0.37 mrad and ε 8e-4 of single lines, a little less of the pattern."""
    x = np.array([0.26, 0.61, 0.74, 0.86, 1.07])
    y = 3.7e-4 + 8e-4 * x + np.array([2e-5, -3e-5, 1e-5, 4e-5, -3e-5])
    points = {"two_theta": np.rad2deg(2 * np.arcsin(x / 4)), "x": x, "y": y, "y_error": 2e-5 + 4e-5 * x}
    line = {"phase": "layered", "strain": 8e-4, "strain_error": 0.6e-4, "size": 150.0, "intercept": 3.7e-4}
    whole = {"strain": 7.8e-4, "strain_error": 0.2e-4, "size": 140.0, "intercept": 3.9e-4, "masked": None}
    return {
        "curve": pattern,
        "williamson_hall": {**line, **points, "whole_pattern": whole},
        "williamson_hall_refused": None,
    }


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return FakeRun(tmp_path, size=41, slices=2)


def test_the_page_fills_and_follows_without_a_complaint(driver: Any, run: FakeRun) -> None:
    severe(driver)
    with serving(run) as url:
        driver.get(url)
        wait(driver, lambda d: "Waiting for the first frame from tcp://" in text(d, "empty"), "the empty state")
        assert text(driver, "status") == "waiting"
        run.receive(0.02)
        wait(driver, lambda d: "the first maps come when" in text(d, "empty"), "frames without maps")
        run.advance(0.3)
        wait(driver, lambda d: shown_revision(d) == "1", "the first map")
        assert not driver.find_element("id", "empty").is_displayed()
        assert text(driver, "scan") == "ncm622-cycled"
        assert text(driver, "frames") == "1 476 of 4 920 frames"
        before = driver.execute_script("return document.getElementById('map').toDataURL()")
        run.advance(0.6)
        wait(driver, lambda d: shown_revision(d) == "2", "the second map")
        assert driver.execute_script("return document.getElementById('map').toDataURL()") != before
        assert len(driver.find_elements("css selector", "#multiples canvas")) == 8
        wait(driver, lambda d: "frame 2 952" in text(d, "frame-number"), "the detector frame")
        run.advance(1.0, "complete")
        wait(driver, lambda d: text(d, "status") == "complete", "the end")
        assert text(driver, "age") == "final"
        assert severe(driver) == []


def test_pixels_are_the_colours_of_the_values(driver: Any, run: FakeRun) -> None:
    run.advance(1.0)
    with serving(run) as url:
        driver.get(url)
        wait(driver, lambda d: shown_revision(d) == "1", "the map")
        driver.find_element("css selector", "[data-map=class_index]").click()
        wait(driver, lambda d: d.find_element("id", "map").get_attribute("data-map") == "class_index", "the class map")
        width = driver.execute_script("return document.getElementById('map').width")
        index = np.load(run.directory.revision)["maps/class_index"][0]
        colours = {0: [107, 114, 128], 1: [86, 180, 233], 2: [230, 159, 0], 3: [0, 158, 115], 4: [204, 121, 167]}
        for y, x in ((20, 20), (12, 12), (20, 8), (30, 30), (3, 20), (20, 38)):
            place = {"x": round((x + 0.5) * width / 41), "y": round((y + 0.5) * width / 41)}
            assert driver.execute_script(CENTRE.format(**place))[:3] == colours[int(index[y, x])], (y, x)
        assert driver.execute_script(CENTRE.format(x=2, y=2))[3] == 0  # outside the field of view


def test_a_click_shows_the_voxel_and_arrows_move_on(driver: Any, run: FakeRun) -> None:
    from selenium.webdriver import ActionChains, Keys

    run.advance(1.0)
    with serving(run) as url:
        driver.get(url)
        wait(driver, lambda d: shown_revision(d) == "1", "the map")
        canvas = driver.find_element("id", "map")
        assert not driver.find_element("id", "voxel-body").is_displayed()
        ActionChains(driver).move_to_element(canvas).click().perform()  # the middle of 41 voxels
        body = driver.find_element("id", "voxel-body")
        wait(driver, lambda d: body.get_attribute("data-voxel") == "0,20,20", "the voxel")
        assert driver.find_element("css selector", "#voxel-plot canvas").is_displayed()
        assert "x +0.0 µm" in text(driver, "voxel-place")
        assert len(driver.find_elements("css selector", ".probability")) == 5
        assert "Coverage" in text(driver, "voxel-values")
        assert not driver.find_element("id", "wh").is_displayed()  # nobody fits here
        press(driver, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
        wait(driver, lambda d: body.get_attribute("data-voxel") == "0,19,22", "the moved voxel")
        press(driver, "]")
        wait(driver, lambda d: canvas.get_attribute("data-map") == "phase_spinel", "the next map")
        press(driver, "5")
        wait(driver, lambda d: canvas.get_attribute("data-map") == "strain_layered", "the fifth small map")
        driver.find_element("css selector", "#slice option[value='1']").click()
        wait(driver, lambda d: body.get_attribute("data-voxel") == "1,19,22", "the voxel of the other slice")
        press(driver, Keys.ESCAPE)
        wait(driver, lambda d: not body.is_displayed(), "no voxel")


def test_under_the_cursor_it_says_why_there_is_no_number(driver: Any, run: FakeRun) -> None:
    from selenium.webdriver import ActionChains

    run.advance(1.0)
    index = np.load(run.directory.revision)["maps/mask_spinel"][0]
    tied = np.argwhere(index == Reason.TIED)[0]
    with serving(run) as url:
        driver.get(url)
        wait(driver, lambda d: shown_revision(d) == "1", "the map")
        driver.find_element("css selector", "[data-map=ratio_003_104_layered]").click()
        canvas = driver.find_element("id", "map")
        cell = canvas.size["width"] / 41

        def readout(y: int, x: int) -> str:
            driver.execute_script("scrollTo(0, 0)")  # offsets count from the middle of what is in view
            off = [round((place - 20) * cell) for place in (x, y)]
            ActionChains(driver).move_to_element_with_offset(canvas, *off).perform()
            return text(driver, "readout")

        masked = np.argwhere(np.load(run.directory.revision)["maps/mask_layered"][0] == Reason.NO_SIGNAL)[0]
        wait(driver, lambda d: "masked: the phase is not there" in readout(*masked), "why there is no layered phase")
        assert "outside the field of view" in readout(1, 1)
        wait(driver, lambda d: "intensities tied to the structure" in readout(*shell(run)), "why there is no ratio")
        driver.find_element("css selector", "[data-map=mask_spinel]").click()
        wait(driver, lambda d: "too little of the phase" in readout(*tied), "the mask's words")
        assert "too little of the phase" in text(driver, "legend")


def shell(run: FakeRun) -> tuple[int, int]:
    """A voxel whose cell is known, and whose intensities are tied."""
    maps = np.load(run.directory.revision)
    y, x = np.argwhere((maps["maps/mask_layered"][0] == 0) & np.isnan(maps["maps/ratio_003_104_layered"][0]))[0]
    return int(y), int(x)


def test_strain_is_drawn_by_class_particle_and_line(driver: Any, run: FakeRun) -> None:
    run.advance(1.0)
    with serving(run, fit_voxel=fit_voxel) as url:
        driver.get(url)
        wait(driver, lambda d: shown_revision(d) == "1", "the map")
        rows = wait(driver, lambda d: d.find_elements("css selector", "#particles-table [tabindex]"), "the particles")
        told = httpx.get(f"{url}{SCAN}/particles", trust_env=False).json()
        assert len(rows) == len(told["particles"]) > 3
        assert f"n {told['particle_correlation']['contact']['n']}" in text(driver, "particles-rank")
        strain = httpx.get(f"{url}/api/v1/status", trust_env=False).json()["strain"]
        for label, mean in ((name, found["mean"]) for name, found in strain.items()):
            assert f"{label.replace('_', ' ')} {1e4 * mean:.2f}" in text(driver, "strain-table")
        rows[0].click()
        first = told["particles"][0]
        place = f"{first['slice']},{first['row']},{first['column']}"
        body = driver.find_element("id", "voxel-body")
        wait(driver, lambda d: body.get_attribute("data-voxel") == place, "the particle's voxel")
        wait(driver, lambda d: "ε (7.80 ± 0.20)" in text(d, "wh-key"), "the whole pattern's line")
        assert "ε (8.00 ± 0.60)" in text(driver, "wh-key")
        assert text(driver, "voxel-key").split() == ["measured", "fit"]
        assert "Amount of spinel" in text(driver, "voxel-values")
        for name in ("voxel-plot", "wh-plot", "strain-plot", "particles-plot"):
            assert coloured(driver, f"#{name} canvas") > 100, name


def test_it_comes_back_when_the_server_does(driver: Any, run: FakeRun) -> None:
    port = free_port()
    run.advance(0.3)
    with serving(run, port=port) as url:
        driver.get(url)
        wait(driver, lambda d: shown_revision(d) == "1", "the map")
    wait(driver, lambda d: text(d, "status") == "disconnected", "that it is disconnected")
    assert re.fullmatch(r"stale since \d\d:\d\d:\d\d", text(driver, "age"))
    run.advance(0.5)
    with serving(run, port=port):
        wait(driver, lambda d: text(d, "status") == "acquiring", "the reconnection")
        wait(driver, lambda d: shown_revision(d) == "2", "the map made meanwhile")
        run.advance(0.7)
        wait(driver, lambda d: shown_revision(d) == "3", "the next map")


def test_the_range_by_hand_and_back(driver: Any, run: FakeRun) -> None:
    run.advance(1.0)
    with serving(run) as url:
        driver.get(url)
        wait(driver, lambda d: shown_revision(d) == "1", "the map")
        high = driver.find_element("id", "high")
        automatic = high.get_attribute("value")
        high.clear()
        high.send_keys("1000\n")
        auto = driver.find_element("id", "auto")
        wait(driver, lambda d: auto.get_attribute("aria-pressed") == "false", "a range by hand")
        auto.click()
        wait(driver, lambda d: high.get_attribute("value") == automatic, "the automatic range")
        high.clear()
        high.send_keys("-1000\n")
        wait(driver, lambda d: high.get_attribute("aria-invalid") == "true", "a refusal")


def test_the_theme_follows_the_system_and_then_the_user(driver: Any, run: FakeRun) -> None:
    with serving(run) as url:
        driver.get(url)
        theme = "return document.documentElement.dataset.theme"
        wait(driver, lambda d: d.execute_script(theme) == "dark", "the system's theme")
        paper = "return getComputedStyle(document.body).backgroundColor"
        dark = driver.execute_script(paper)
        driver.find_element("id", "theme").click()
        assert driver.execute_script("return document.documentElement.dataset.theme") == "light"
        assert driver.execute_script(paper) != dark
        driver.refresh()
        wait(driver, lambda d: d.execute_script("return document.documentElement.dataset.theme") == "light", "memory")
        press(driver, "t")
        assert driver.execute_script(paper) == dark
        driver.execute_script("localStorage.clear()")


def test_commands_need_the_link_with_the_key(driver: Any, run: FakeRun) -> None:
    run.advance(0.3)
    with serving(run) as url:
        driver.get(url)
        wait(driver, lambda d: shown_revision(d) == "1", "the map")
        driver.find_element("css selector", "#control summary").click()
        assert not driver.find_element("css selector", "[data-command=finish]").is_enabled()
        driver.get("about:blank")
        driver.get(f"{url}/#key={KEY}")
        wait(driver, lambda d: shown_revision(d) == "1", "the map")
        assert KEY not in driver.current_url
        driver.find_element("css selector", "#control summary").click()
        for answer in ("no", "yes"):
            driver.find_element("css selector", "[data-command=finish]").click()
            driver.find_element("css selector", f"#confirm button[value={answer}]").click()
        wait(driver, lambda d: "Sent as command 1" in text(d, "control-note"), "the answer")
    assert [command.kind for command in read_commands(run.directory.commands)] == ["finish"]


def test_pictures_of_the_page(driver: Any, tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", size=101, angles=90, bins=600)
    run.advance(0.4)
    run.advance(0.65)
    driver.get("about:blank")  # the last test's page may still ask for its server
    severe(driver)
    try:
        with serving(run, fit_voxel=fit_voxel) as url:
            for width, height, dark in ((1440, 900, True), (1440, 900, False), (390, 844, True), (390, 844, False)):
                look(driver, width, height, dark)
                driver.get(url)
                wait(driver, lambda d: shown_revision(d) == "2", "the map")
                driver.find_element("id", "map").click()
                wait(driver, lambda d: d.find_element("id", "voxel-body").get_attribute("data-voxel"), "the voxel")
                wait(driver, lambda d: "frame" in text(d, "frame-number"), "the detector frame")
                if width == 390:
                    pinch(driver)
                overflow = driver.execute_script("return document.documentElement.scrollWidth - innerWidth")
                assert overflow <= 0, f"the page is wider than {width}"
                assert barriers(driver) == []
                picture = tmp_path / "out" / "screenshots" / f"{width}-{'dark' if dark else 'light'}.png"
                whole_page(driver, picture)
                assert picture.stat().st_size > 50_000
            assert severe(driver) == []
    finally:
        look(driver)


def pinch(driver: Any) -> None:
    """Two fingers on the map, twice as far from each other at the end."""
    place = "const box = document.getElementById('map').getBoundingClientRect(); return [box.x, box.y, box.width]"
    x, y, width = driver.execute_script(place)
    for kind, apart in (("touchStart", 0.2), ("touchMove", 0.4), ("touchEnd", None)):
        u = () if apart is None else (0.5 - apart / 2, 0.5 + apart / 2)
        points = [{"x": x + end * width, "y": y + 0.5 * width, "id": n} for n, end in enumerate(u)]
        driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    wait(driver, lambda d: float(told(d, "map", "zoom") or 0) > 1.5, "the zoom")
    driver.find_element("id", "zoom-whole").click()
