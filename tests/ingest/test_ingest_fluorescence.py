"""Spectra of a fluorescence detector: dead time, sums, books of their own beside those of the diffraction."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers.bench import Bench
from helpers.encode import bslz4

from stream.core.errors import MessageError
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.deadtime import dead_time_factors
from stream.ingest.ingest import Ingest
from stream.ingest.journal import Journal
from stream.ingest.ledger_reader import LedgerReader
from stream.ingest.process import open_fluorescence

FLUORESCENCE = {"endpoint": "tcp://127.0.0.1:2", "elements": ["Ni"], "monitor": "i0"}
SCALERS = {"AllEvents": [2, 0, 0, 3], "TotalTicks": [7999990] * 4, "ResetTicks": [0, 0, 0, 91], "event_widths": [6] * 4}
"""As an Xspress3 of MAX IV told them, and the factors that it told with them."""
FACTORS = [1.00000175, 1.0, 1.0, 1.000014]


def spectra(frame: int, elements: int = 4) -> npt.NDArray[np.uint32]:
    return np.random.default_rng(frame).poisson(3, (elements, 4096)).astype(np.uint32)


def stins(frame: int, values: npt.NDArray[Any], packed: bool = False, **extra: Any) -> list[bytes]:
    header = {"htype": "image", "frame": frame, "shape": list(values.shape), "type": values.dtype.name}
    header |= {"compression": "bslz4" if packed else "none", **extra}
    return [json.dumps(header).encode(), bslz4(values) if packed else values.tobytes()]


def array_1(frame: int, values: npt.NDArray[Any], **extra: Any) -> list[bytes]:
    header = {"htype": "array-1.0", "frame": frame, "shape": list(values.shape), "type": values.dtype.name}
    return [json.dumps(header | extra).encode(), values.tobytes()]


def opened(bench: Bench, *, live: bool = True) -> Ingest:
    assert bench.config.fluorescence is not None
    return open_fluorescence(bench.directory.fluorescence, bench.config, bench.config.fluorescence, live=live)


def frames(directory: RunDirectory, bench: Bench) -> dict[str, Any]:
    return LedgerReader(directory.ledger, ScanGrid.from_config(bench.config.scan)).snapshot().frames


def test_dead_time_is_what_an_xspress3_says() -> None:
    found = dead_time_factors(SCALERS, 4)
    assert found is not None
    np.testing.assert_allclose(found, FACTORS, rtol=0, atol=6e-9)  # of the printed digits
    assert dead_time_factors({"dtc": FACTORS} | SCALERS, 4) == pytest.approx(FACTORS)
    assert dead_time_factors({"exptime": 0.1}, 4) is None
    assert dead_time_factors(None, 4) is None


@pytest.mark.parametrize(
    "header", [{"dtc": [1.0]}, {"dtc": [1, 1, 1, 0.5]}, {"dtc": "x"}, SCALERS | {"AllEvents": [2_000_000] * 4}]
)
def test_dead_time_that_cannot_be_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        dead_time_factors(header, 4)


def test_spectra_are_corrected_summed_and_booked(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, fluorescence=FLUORESCENCE)
    ingest = opened(bench)
    factors = [1.1, 1.2, 1.0, 1.4]
    ingest.accept([b'{"htype":"header","filename":""}'], time.time())
    ingest.accept(stins(3, spectra(3), dtc=factors, i0=2.0), time.time())
    ingest.accept(stins(4, spectra(4), packed=True, dtc=factors), time.time())
    ingest.accept([*stins(5, spectra(5)), b"a pickle that nobody opens"], time.time())
    ingest.accept(array_1(6, spectra(6, 1).astype(np.uint16), dtc=[2.0]), time.time())
    ingest.accept(array_1(7, spectra(7)[:, :100]), time.time())
    ingest.accept(stins(3, spectra(3)), time.time())
    ingest.accept(stins(12, spectra(1)), time.time())
    ingest.settle()
    ingest.commit()
    journal = Journal.read_only(bench.directory.fluorescence.journal)
    for frame in (3, 4):
        found = journal.read(frame)
        np.testing.assert_allclose(found.sums, factors @ spectra(frame).astype(float), rtol=1e-6)
        np.testing.assert_allclose(found.variances, np.square(factors) @ spectra(frame).astype(float), rtol=1e-6)
    np.testing.assert_array_equal(journal.read(5).sums, spectra(5).sum(axis=0))
    np.testing.assert_array_equal(journal.read(6).sums, 2 * spectra(6, 1)[0])
    counts = frames(bench.directory.fluorescence, bench)
    assert (counts["integrated"], counts["duplicate"]) == (4, 1)
    assert counts["rejected"] == {"shape": 1, "beyond-grid": 1}
    assert frames(bench.directory, bench)["integrated"] == 0  # the diffraction's books know nothing of it
    reader = LedgerReader(bench.directory.fluorescence.ledger, ingest.reduction.grid)
    assert {row.slot: row.monitor for row in reader.rows(0)} == pytest.approx(
        {3: 2.0, 4: np.nan, 5: np.nan, 6: np.nan}, nan_ok=True
    )
    assert sum("no dead time" in text for _, text in reader.events()) == 1
    journal.close()
    ingest.close()
    bench.close()


def test_a_killed_ingest_goes_on_from_its_own_recording(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, fluorescence=FLUORESCENCE)
    ingest = opened(bench)
    for frame in range(6):
        ingest.accept(stins(frame, spectra(frame), dtc=[1.5] * 4), time.time())
    ingest.settle()
    ingest.books.write()  # the ledger has none of them yet
    ingest.close()
    again = opened(bench)
    again.commit()
    assert frames(bench.directory.fluorescence, bench)["integrated"] == 6
    np.testing.assert_allclose(again.books.journal.read(5).sums, 1.5 * spectra(5).sum(axis=0, dtype=float), rtol=1e-6)
    again.close()
    bench.close()
