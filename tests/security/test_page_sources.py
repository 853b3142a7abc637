"""What the page is made of: nothing in it turns text into markup or code, so that no name can be one."""

from __future__ import annotations

import re

import pytest

from stream.dashboard.colours import STATIC

MAKES_MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setTimeout\(['\"`]"
)
INLINE = re.compile(r"<script(?![^>]*\bsrc=)|\son\w+\s*=|<style|\sstyle\s*=|javascript:", re.IGNORECASE)
SOURCES = sorted(STATIC.rglob("*.js"))


@pytest.mark.parametrize("words", ["x.innerHTML = name", "eval(name)", "document.write(name)"])
def test_what_is_looked_for_is_found(words: str) -> None:
    assert MAKES_MARKUP.search(words)


def test_the_page_makes_no_markup_of_names() -> None:
    assert len(SOURCES) > 30
    assert not [path.name for path in SOURCES if MAKES_MARKUP.search(path.read_text(encoding="utf-8"))]


def test_the_page_has_nothing_inline_and_loads_nothing_from_elsewhere() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not INLINE.search(page)
    assert not re.search(r"(src|href)=\"(?!/static/|#|/openapi.json)", page)
