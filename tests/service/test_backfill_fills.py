"""Which frames of a detector's files a run takes, and with which incident intensity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import pytest
from helpers.bench import SHAPE, Bench, pixels, v1, v1_end, v1_start

from stream.core.errors import UsageError
from stream.ingest.recorded import read_recording
from stream.service.backfill import check_files, fill


def detector_file(path: Path, first: int = 0, count: int = 12) -> Path:
    """Frames first, first + 1, … of the scan."""
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = [pixels(first + n) for n in range(count)]
    return path


def filled(bench: Bench, files: list[Path]) -> tuple[tuple[int, int], Bench]:
    bench.close()
    done = fill(bench.directory, bench.config, files)
    changes = {key: getattr(bench.config, key).model_dump(mode="json") for key in ("scan", "detector")}
    return done, Bench.open(bench.path, sent_again=True, **changes)


def test_only_what_is_missing_is_taken(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path).send(v1_start(), *map(v1, [0, 1, 5, 5, 11]), v1_end())
    done, after = filled(bench, [detector_file(tmp_path / "a.h5", count=9)])
    assert done == (6, 8)
    assert after.counts == {"received": 11, "integrated": 10, "duplicate": 1}
    assert after.frames["missing_ranges"] == [[9, 10]]
    for slot in range(9):
        assert after.pattern(slot).sums.tobytes() == after.ingest.reduction.base(pixels(slot)).sums.tobytes()
    after.close()


def test_a_replay_has_the_filled_frames_too(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path).send(v1_start(), *map(v1, [0, 1, 5]), v1_end())
    _, after = filled(bench, [detector_file(tmp_path / "a.h5")])
    after.close()
    (tmp_path / "b").mkdir()
    replay = Bench.open(tmp_path / "b", sent_again=True)
    replay.send(*(list(message.parts) for message in read_recording(after.directory.path)))
    assert replay.turn(exhausted=True) == "ended"
    assert replay.counts == {"received": 12, "integrated": 12}
    replay.close()


@pytest.mark.parametrize("first", [0, 1])
def test_a_file_for_each_line(tmp_path: Path, first: int) -> None:
    changes: dict[str, Any] = {"scan": {"series": "line"}, "detector": {"first_frame": first}}
    bench = Bench.open(tmp_path, **changes).send(v1_start(40))
    bench.send(*(v1(first + f, 40, image=pixels(f)) for f in (0, 3)), v1_end(40))
    files = [detector_file(tmp_path / f"{n}.h5", 4 * n, 4) for n in range(3)]
    done, after = filled(bench, files)
    assert done == (10, 10)
    for slot in range(12):
        assert after.pattern(slot).sums.tobytes() == after.ingest.reduction.base(pixels(slot)).sums.tobytes()
    with pytest.raises(UsageError, match="files of all 3 series are needed"):
        check_files(after.config, files[:2])
    after.close()


@pytest.mark.parametrize("key", ["i0", "real_time"])
def test_the_incident_intensity_is_that_of_the_frames_beside(tmp_path: Path, key: str) -> None:
    def image(frame: int, value: float) -> list[bytes]:
        if key == "i0":
            return v1(frame, appendix={"i0": value})
        parts = v1(frame)
        return [*parts[:3], b'{"htype":"dconfig-1.0","real_time":%d}' % round(value * 1e9)]

    bench = Bench.open(tmp_path, detector={"monitor": key})
    bench.send(v1_start(), image(0, 4.0), image(4, 6.0), image(8, 2.0), v1_end())
    _, after = filled(bench, [detector_file(tmp_path / "a.h5")])
    expected = [4.0, 4.5, 5.0, 5.5, 6.0, 5.0, 4.0, 3.0, 2.0, 2.0, 2.0, 2.0]
    assert [row.monitor for row in sorted(after.rows, key=lambda row: row.slot)] == pytest.approx(expected, abs=1e-9)
    assert any("is taken from the frames beside" in text for text in after.events)
    after.close()


def test_a_file_does_not_know_coordinates(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, scan={"index": "appendix"})
    with pytest.raises(UsageError, match="does not tell where its frames lie"):
        check_files(bench.config, [detector_file(tmp_path / "a.h5")])
    bench.close()


def test_frames_that_do_not_fit_are_passed_over(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path).send(v1_start(), v1(0), v1_end())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["entry/data/data"] = [pixels(n)[:50] for n in range(12)]
    done, after = filled(bench, [tmp_path / "other.h5"])
    assert done == (0, 11)
    assert after.counts == {"received": 1, "integrated": 1}
    assert SHAPE[0] > 50
    after.close()
