"""A report says what the maps and the metadata say, of one run or of two compared, in one file."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import chromium, look, need_browser, wait, whole_page
from helpers.fake_run import FakeRun
from typer.testing import CliRunner

from stream.analyse.crystal.structure import load_structure
from stream.cli.app import app
from stream.core.axis import RadialAxis
from stream.core.errors import UsageError
from stream.report.compose import compose, open_runs
from stream.report.document import Document, Table
from stream.report.patterns import indices
from stream.report.pdf import to_pdf
from stream.report.run import ReportRun

CELL = r"<th scope=\"row\">{}</th><td>([^<]*)</td><td>([^<]*)</td>"

HOSTILE = "cycled<img src=x onerror=alert(1)>$^{<script>"
"""Name of a run's directory, and of its sample: neither markup nor a formula."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A scan that is complete, and one that is under way with frames missing."""
    folder, paths = tmp_path_factory.mktemp("runs"), []
    for name, share, status in (("pristine", 1.0, "complete"), (HOSTILE, 0.6, "acquiring")):
        run = FakeRun(folder / name, size=31, slices=2, bins=200)
        run.advance(share, status)
        assert run._ledger is not None
        run._ledger.commit(axis=RadialAxis("2th_deg", 1.0, 20.0, 200, 0.62).as_dict())
        resolved = run.directory.config.read_text()
        run.directory.config.write_text(re.sub("(?m)^  sample: .*", f'  sample: "{HOSTILE}"', resolved))
        paths.append(run.path)
    return paths


@pytest.fixture(scope="module")
def opened(runs: list[Path]) -> list[ReportRun]:
    return open_runs(runs)


@pytest.fixture(scope="module")
def page(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "compared.html"
    done = CliRunner().invoke(app, ["report", *map(str, runs), "--output", str(file)], catch_exceptions=False)
    assert done.stdout.split() == [str(file)]
    return file


def row(page: Path, name: str) -> tuple[str, str]:
    """What both runs have in the row of this name."""
    found = re.search(CELL.format(re.escape(name)), page.read_text(encoding="utf-8"))
    assert found is not None, name
    return unescape(found[1]), unescape(found[2])


def test_tables_hold_the_numbers_of_both_runs(page: Path, opened: list[ReportRun]) -> None:
    medians = [np.median(run.at_particles("cell_volume_layered")) for run in opened]
    cells = row(page, "Cell volume of layered (Å³)")
    assert [float(cell.partition(" ")[0]) for cell in cells] == pytest.approx(medians, rel=1e-4)
    assert cells[1].endswith(f"({100 * (medians[1] / medians[0] - 1):+.2f} %)")
    means = [run.told["strain"]["particle"]["mean"] * 1e4 for run in opened]
    strains = row(page, "particle")
    assert [float(strain[1:5]) for strain in strains] == pytest.approx(means, abs=0.006)
    assert row(page, "missing") == ("0", str(opened[1].told["frames"]["missing"]))
    assert row(page, "rejected: truncated") == ("1", "1")


def test_elements_say_what_they_go_with_and_what_they_lack(page: Path) -> None:
    text = unescape(page.read_text(encoding="utf-8"))
    assert "Ni with layered 0.93, Ni with ε in particle -0.12" in text
    assert re.search(r"Self-absorption of [^<;]+: uncorrected; [^<;]+.*: uncorrected", text)
    assert "Fluorescence of Ni, biased by self-absorption" in text


def test_names_are_no_markup(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img src=x" not in text
    assert row(page, "sample") == (HOSTILE, HOSTILE)


def test_weight_fractions_are_those_of_the_masses(page: Path, opened: list[ReportRun]) -> None:
    maps = opened[1].maps
    layered = load_structure("nmc622").density * np.nansum(maps["phase_layered"])
    spinel = load_structure("lnmo-spinel").density * np.nansum(maps["phase_spinel"])
    assert row(page, "spinel")[1] == f"{100 * spinel / (layered + spinel):.2f} %"


def test_a_scan_under_way_is_said_to_be(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "the maps are live ones of a scan that is acquiring" in text
    assert text.count('class="alarm"') == 1


def test_one_run_alone(opened: list[ReportRun]) -> None:
    document = compose(opened[:1])
    assert [section.title for section in document.sections][-1] == "Provenance"
    tables = [part for section in document.sections for part in section.parts if isinstance(part, Table)]
    assert all(len(cells) == 2 for table in tables for cells in table.rows)
    assert "change from" not in "".join(table.note for table in tables)


def test_the_file_needs_nothing_beside_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href|url)\s*[=(]\s*"?(?!data:)[a-z]+:', text)
    assert len(re.findall(r'<img src="data:image/svg\+xml;base64,[^"]+" alt="[^"]{10,}">', text)) == text.count("<img")
    assert "api_key" not in text


def test_the_pdf_has_what_the_page_has(opened: list[ReportRun]) -> None:
    whole = compose(opened)
    short = Document(
        whole.title, whole.subtitle, [s for s in whole.sections if s.title in {"Microstrain", "Provenance"}]
    )
    pages = to_pdf(short)
    assert pages.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", pages)) >= 3  # the configs are long
    assert b"/Subtype /Image" in pages


def test_indices_are_those_that_are_printed() -> None:
    cubic, layered = load_structure("lnmo-spinel"), load_structure("nmc622")
    assert indices(cubic, np.array([-1, 3, 1])) == "311"
    assert indices(layered, np.array([1, 0, -2])) == "012"
    assert indices(layered, np.array([1, 0, 4])) == "104"


def test_a_directory_without_maps(tmp_path: Path) -> None:
    FakeRun(tmp_path / "run").receive(0.1)
    with pytest.raises(UsageError, match="has no maps yet: there is nothing to report"):
        open_runs([tmp_path / "run"])


@pytest.mark.browser
def test_it_reads_on_screens_wide_and_narrow(page: Path, tmp_path: Path) -> None:
    need_browser()
    loaded = "return [...document.images].every(i => i.complete && i.naturalWidth > 0)"
    with chromium(tmp_path / "profile") as driver:
        for width in (1280, 390):
            look(driver, width)
            driver.get(page.as_uri())
            wait(driver, lambda d: d.execute_script(loaded), "every figure")
            assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
            whole_page(driver, tmp_path / f"report-{width}.png")
        assert driver.get_log("browser") == []
