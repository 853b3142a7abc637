"""The README says what is there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = (HERE.parent / "README.md").read_text(encoding="utf-8")


def test_every_promise_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", README))
    defined = {
        name for file in HERE.rglob("test_*.py") for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert named
    assert named <= defined, named - defined


def test_every_make_target_exists() -> None:
    makefile = (HERE.parent / "Makefile").read_text()
    for target in set(re.findall(r"`make ([\w-]+)", README)) | {"demo", "test"}:
        assert re.search(rf"^{target}:", makefile, re.M), target
