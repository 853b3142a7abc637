"""The beam behind the sample, from the image appendix into the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bench import Bench, v1, v1_start

DETECTOR = {"monitor": "i0", "transmission": "diode"}


def transmissions(bench: Bench) -> dict[int, float | None]:
    return {row.slot: row.transmission for row in bench.rows}


@pytest.mark.parametrize("value", [None, "much", [1], float("1e400")])
def test_a_frame_without_a_reading_is_kept_with_none(tmp_path: Path, value: Any) -> None:
    bench = Bench.open(tmp_path, detector=DETECTOR)
    bench.send(v1_start(), v1(0, appendix={"i0": 2.0, "diode": 0.25}), v1(1, appendix={"diode": value}), v1(2))
    np.testing.assert_equal(transmissions(bench), {0: 0.25, 1: np.nan, 2: np.nan})
    assert bench.rows[0].monitor == 2.0
    bench.close()


def test_where_none_is_configured_there_is_none(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path).send(v1_start(), v1(0, appendix={"diode": 0.25}))
    assert transmissions(bench) == {0: None}
    bench.close()


@pytest.mark.parametrize("recorded", [True, False])
def test_after_a_kill_it_comes_from_the_recording_or_is_unknown(tmp_path: Path, recorded: bool) -> None:
    """The journal does not hold it."""
    changes = {"detector": DETECTOR, "recording": {"frames": recorded}}
    bench = Bench.open(tmp_path, **changes).send(v1_start(), v1(0, appendix={"i0": 2.0, "diode": 0.25}))
    bench.ingest.settle()
    bench.ingest.books.write()  # recording and journal have it, the ledger not yet
    bench.kill()
    again = Bench.open(tmp_path, **changes)
    np.testing.assert_equal(transmissions(again), {0: 0.25 if recorded else np.nan})
    again.close()
