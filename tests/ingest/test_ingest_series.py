"""Scans that a detector takes in many series: one for each line or slice."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from helpers.bench import Bench, Message, pixels, v1, v1_end, v1_start, v2_start
from helpers.encode import multi_dim, v2_message

from stream.ingest.acquisition import STRAGGLERS

LINES: dict[str, Any] = {"scan": {"series": "line"}, "recording": {"frames": False}}
"""3 lines of 4 frames."""


def line(n: int, first: int = 7, frames: range = range(4)) -> list[Message]:
    """A whole V1 series; the pixels tell which frame of the scan it is."""
    return [v1_start(first + n), *(v1(f, first + n, image=pixels(4 * n + f)) for f in frames), v1_end(first + n)]


def assert_in_place(bench: Bench, slots: list[int]) -> None:
    """Each of these grid points holds its own frame, and no other holds any."""
    assert sorted(row.slot for row in bench.rows) == slots
    for slot in slots:
        expected = bench.ingest.reduction.base(pixels(slot))
        assert bench.pattern(slot).sums.tobytes() == expected.sums.tobytes()


def test_a_series_for_each_line(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **LINES)
    bench.send(*line(0))
    assert bench.turn(STRAGGLERS + 5) == "acquiring"  # the motors go back to the beginning of the line
    bench.send(*line(1), *line(2))
    assert bench.turn() == "ended"
    assert bench.counts == {"received": 12, "integrated": 12}
    assert_in_place(bench, list(range(12)))
    bench.close()


def test_the_last_line_ends_the_scan_after_its_stragglers(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **LINES).send(*line(0), *line(2))
    assert bench.turn(STRAGGLERS - 0.1) == "acquiring"
    assert bench.turn(0.2) == "ended"
    assert bench.frames["missing_ranges"] == [[4, 7]]
    assert_in_place(bench, [0, 1, 2, 3, 8, 9, 10, 11])
    bench.close()


def test_a_lost_line_shifts_no_other(tmp_path: Path) -> None:
    """The numbers of the series tell, or what is attached to the header."""
    bench = Bench.open(tmp_path, **LINES).send(v1_start(30, attached={"line": 1}))
    bench.send(*(v1(f, 30, image=pixels(4 + f)) for f in range(4)), v1_end(30))
    bench.send(*(v1(f, 31, image=pixels(8 + f)) for f in range(4)))  # its header was lost
    assert_in_place(bench, list(range(4, 12)))
    bench.close()


def test_what_is_attached_counts_before_the_number(tmp_path: Path) -> None:
    """A line that was given up and taken again shifts the numbers, not the lines."""
    bench = Bench.open(tmp_path, **LINES)
    for number, n in [(1, 0), (2, 1), (3, 1), (4, 2)]:
        frames = range(1) if number == 2 else range(4)
        bench.send(v1_start(number, attached={"line": n}))
        bench.send(*(v1(f, number, image=pixels(4 * n + f)) for f in frames))
    assert bench.counts == {"received": 13, "integrated": 12, "duplicate": 1}
    assert_in_place(bench, list(range(12)))
    assert any("series 3 began before series 2 had ended" in text for text in bench.events)
    bench.close()


def test_stragglers_of_an_ended_line_are_taken_those_of_a_given_up_one_are_not(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **LINES).send(*line(0, frames=range(3)))
    bench.send(v1_start(8), v1(0, 8, image=pixels(4)), v1(3, 7, image=pixels(3)))
    bench.send(v1_start(9), v1(0, 9, image=pixels(8)), v1(1, 8))
    assert bench.counts == {"received": 7, "integrated": 6, "rejected": {"foreign-series": 1}}
    assert_in_place(bench, [0, 1, 2, 3, 4, 8])
    bench.close()


def test_more_frames_than_a_line_has_and_more_lines_than_the_grid(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **LINES).send(*line(0, frames=range(6)), *line(3))
    assert bench.counts == {"received": 10, "integrated": 4, "rejected": {"beyond-grid": 6}}
    bench.close()


def test_joining_late_and_frames_that_count_from_one(tmp_path: Path) -> None:
    """The first series seen is the first line, unless its header tells otherwise."""
    changes = LINES | {"detector": {"first_frame": 1}}
    bench = Bench.open(tmp_path, **changes).send(v1(3, 7, image=pixels(2)), v1(4, 7, image=pixels(3)))
    bench.send(v1_start(8), *(v1(f + 1, 8, image=pixels(4 + f)) for f in range(4)), v1(0, 8))
    assert bench.counts == {"received": 7, "integrated": 6, "rejected": {"beyond-grid": 1}}
    assert_in_place(bench, [2, 3, 4, 5, 6, 7])
    bench.close()


def test_a_process_that_was_killed_knows_which_line_it_was(tmp_path: Path) -> None:
    first = Bench.open(tmp_path, **LINES).send(*line(0), *line(1)[:3])
    first.turn()
    first.kill()
    second = Bench.open(tmp_path, **LINES).send(*line(1)[3:], *line(2))
    assert second.turn() == "ended"
    assert_in_place(second, list(range(12)))
    second.close()


def test_silence_between_lines_ends_the_scan_and_the_next_line_takes_it_up(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **LINES).send(*line(0))
    assert bench.turn(29) == "acquiring"
    assert bench.turn(2) == "ended"
    bench.send(*line(1), *line(2))
    assert bench.turn() == "ended"
    assert bench.counts == {"received": 12, "integrated": 12}
    bench.close()


def test_a_person_ends_all_lines(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **LINES).send(*line(0))
    bench.turn()
    bench.ingest.acquisition.finish("finished")
    bench.send(*line(1))
    assert bench.counts == {"received": 8, "integrated": 4, "dropped": {"finished": 4}}
    bench.close()


def stins(kind: str, **values: Any) -> Message:
    return [orjson.dumps({"htype": kind} | values)]


def stins_image(n: int, frame: int) -> Message:
    head = {"frame": frame, "shape": [71, 95], "type": "uint32", "compression": "none"}
    return [*stins("image", msg_number=n, **head), pixels(n).tobytes()]


def test_stins_names_no_series_each_header_begins_one(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **LINES)
    for n in range(3):
        bench.send(stins("header"), *(stins_image(4 * n + f, f) for f in range(4)), stins("series_end"))
    assert bench.turn() == "ended"
    assert_in_place(bench, list(range(12)))
    bench.close()


def array1(n: int, frame: int) -> Message:
    head = {"htype": "array-1.0", "frame": frame, "shape": [71, 95], "type": "uint32"}
    return [orjson.dumps(head), pixels(n).tobytes()]


def test_a_stream_without_headers_begins_a_line_when_it_counts_anew(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **LINES).send(*(array1(n, n % 4) for n in range(12)))
    assert bench.turn() == "ended"
    assert_in_place(bench, list(range(12)))
    bench.close()


def test_the_first_frame_seen_of_each_line(tmp_path: Path) -> None:
    changes = LINES | {"detector": {"format": "array-1", "first_frame": None}}
    bench = Bench.open(tmp_path, **changes)
    bench.send(*(array1(n, 5000 - 100 * (n // 4) + n % 4) for n in range(12)))
    assert bench.turn() == "ended"
    assert_in_place(bench, list(range(12)))
    bench.close()


@pytest.mark.parametrize("kind", ["slice", "line"])
def test_v2_slices_by_number_and_unique_name(tmp_path: Path, kind: str) -> None:
    slices = {"series": "slice", "slices": {"count": 3}, "angles": {"start": 0, "step": 60, "count": 1}}
    scan = {**slices, "positions": {"count": 4}} if kind == "slice" else {"series": "line"}
    bench = Bench.open(tmp_path, scan=scan, recording={"frames": False})
    names = ["01H", "01J", "01K"]
    for n in random.Random(4).sample(range(3), 3):  # the order of the series is not that of the slices
        told = {"series_unique_id": names[n], "series_id": 90 - n}
        bench.send(v2_start(**told, user_data={kind: n}))
        for f in range(4):
            data = {"threshold_1": multi_dim(pixels(4 * n + f))}
            bench.send(v2_message("image", **told, image_id=f, data=data))
        bench.send(v2_message("end", **told))
    assert bench.turn() == "ended"
    assert_in_place(bench, list(range(12)))
    bench.close()


def test_the_type_of_the_pixels_may_change_between_series(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, scan={"series": "line"})
    for n, dtype in enumerate(["<u4", "<u2", "|u1"]):
        images = (v1(f, 7 + n, image=pixels(4 * n + f, dtype)) for f in range(4))
        bench.send(v1_start(7 + n), *images, v1_end(7 + n))
    assert bench.counts == {"received": 12, "integrated": 12}
    assert_in_place(bench, list(range(12)))
    bench.close()
