"""Debian's chromium, headless, for the tests of the page."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
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
    """What `condition` gives as soon as it is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    found: Found = WebDriverWait(driver, seconds, poll_frequency=0.1).until(condition, f"waited in vain: {what}")
    return found


def whole_page(driver: Any, path: Path) -> None:
    """A picture of the page from top to bottom."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = driver.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    path.write_bytes(base64.b64decode(shot["data"]))
