"""Debian's chromium, headless, for the tests of the page."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import pytest

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
LISTENER = """
const proto = CanvasRenderingContext2D.prototype, { fillText, clearRect } = proto;
proto.fillText = function (...said) { (this.canvas.written ??= []).push(said[0]); fillText.apply(this, said); };
proto.clearRect = function (...box) { this.canvas.written = []; clearRect.apply(this, box); };
"""
COUNT = """
const [selector, colour] = arguments;
const canvas = document.querySelector(selector);
if (!canvas) return 0;
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
let n = 0;
for (let i = 0; i < data.length; i += 4) {
  const own = [data[i], data[i + 1], data[i + 2]];
  if (data[i + 3]) n += colour ? own.every((c, k) => c === colour[k]) : Math.max(...own) - Math.min(...own) > 40;
}
return n;
"""
BARRIERS = ("serious", "critical")
Found = TypeVar("Found")


def need_browser() -> None:
    """Skip with a reason where chromium or selenium is missing; fail where BRAGGSTREAM_REQUIRE_BROWSER=1."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        missing = ["selenium"]
    else:
        missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing:
        reason = f"THE PAGE IS NOT TESTED: {', '.join(missing)} missing (apt install chromium chromium-driver)"
        if os.environ.get("BRAGGSTREAM_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """A browser with an empty profile."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        look(driver)
        yield driver
    finally:
        driver.quit()


def look(driver: Any, width: int = 1440, height: int = 900, dark: bool = True) -> None:
    """A viewport and a system theme; narrow ones are phones."""
    phone = width < 800
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def wait(driver: Any, condition: Callable[[Any], Found], what: str, seconds: float = 15) -> Found:
    """What `condition` gives as soon as it is true; an element that is drawn anew meanwhile is not there yet."""
    from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    unready = (NoSuchElementException, StaleElementReferenceException)
    waiting = WebDriverWait(driver, seconds, poll_frequency=0.1, ignored_exceptions=unready)
    found: Found = waiting.until(condition, f"waited in vain: {what}")
    return found


def whole_page(driver: Any, path: Path) -> None:
    """A picture of the page from top to bottom."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = driver.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    path.write_bytes(base64.b64decode(shot["data"]))


def text(driver: Any, name: str) -> str:
    """What the element `name` says."""
    return str(driver.find_element("id", name).text)


def told(driver: Any, name: str, key: str) -> str | None:
    """A data attribute of the element `name`."""
    value: str | None = driver.find_element("id", name).get_attribute(f"data-{key}")
    return value


def shown_revision(driver: Any) -> str | None:
    """The revision of the map that is seen."""
    return told(driver, "map", "revision")


def hear_canvases(driver: Any) -> None:
    """From the next page on, `written` knows what canvases say."""
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LISTENER})


def written(driver: Any, name: str) -> list[str]:
    """What is written on the canvas `name` now."""
    return list(driver.execute_script("return document.getElementById(arguments[0]).written ?? []", name))


def coloured(driver: Any, selector: str, colour: tuple[int, int, int] | None = None) -> int:
    """Pixels of a canvas of this colour; of any that is not gray, as grid and letters are.

    Found and counted in one script: plots make their canvas anew when their data change.
    """
    return int(driver.execute_script(COUNT, selector, colour))


def severe(driver: Any) -> list[str]:
    """What the console complained of since the last look; axe-core and the tests read canvases back, not the page."""
    entries = [entry["message"] for entry in driver.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]
    return [message for message in entries if "willReadFrequently" not in message]


def press(driver: Any, *keys: str) -> None:
    """Type."""
    from selenium.webdriver import ActionChains

    ActionChains(driver).send_keys(*keys).perform()


def drag(driver: Any, element: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag over an element; places are fractions of its width and height."""
    from selenium.webdriver import ActionChains

    size = element.size
    first, last = [(round((u - 0.5) * size["width"]), round((v - 0.5) * size["height"])) for u, v in (start, end)]
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    ActionChains(driver, duration=50).move_to_element_with_offset(element, *first).click_and_hold().move_by_offset(
        last[0] - first[0], last[1] - first[1]
    ).release().perform()


def click(driver: Any, name: str) -> None:
    """Click the element `name`, wherever the page is scrolled to."""
    element = driver.find_element("id", name)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def choose(driver: Any, name: str, label: str) -> None:
    """Choose from the list `name` as soon as it holds `label`."""
    from selenium.webdriver.support.ui import Select

    found = Select(driver.find_element("id", name))
    wait(driver, lambda _: label in [option.text for option in found.options], f"{label} in {name}")
    found.select_by_visible_text(label)


def barriers(driver: Any) -> list[str]:
    """Serious and critical findings of axe-core."""
    axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text()
    driver.execute_script(axe)
    found = driver.execute_async_script("axe.run().then(arguments[0])")["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found if one["impact"] in BARRIERS for node in one["nodes"]]
