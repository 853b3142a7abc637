"""Where a frame belongs when its number does not tell: coordinates from the appendix or from encoders."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from helpers.bench import Bench, Message, pixels, v1, v1_end, v1_start

APPENDIX: dict[str, Any] = {"scan": {"index": "appendix"}, "recording": {"frames": False}}
ENCODER = {"endpoint": "tcp://127.0.0.1:2", "format": "maxiv-pcap"}
PCAP: dict[str, Any] = {"scan": {"index": "pcap"}, "monitors": [ENCODER]}
ANGLES, POSITIONS = [0.0, 60.0, 120.0], [-1.5, -0.5, 0.5, 1.5]


def place(n: int) -> dict[str, float]:
    """Coordinates of grid point n: the slowest axis is the angle."""
    return {"slice": 0.0, "angle": ANGLES[n // 4], "position": POSITIONS[n % 4]}


def sent(frame: int, point: int, **away: float) -> Message:
    """Frame number `frame` taken at a grid point, or away from it; the pixels tell the point."""
    told = {axis: value + away.get(axis, 0.0) for axis, value in place(point).items()}
    return v1(frame, image=pixels(point), appendix=told)


def assert_in_place(bench: Bench, slots: list[int]) -> None:
    assert sorted(row.slot for row in bench.rows) == slots
    for slot in slots:
        assert bench.pattern(slot).sums.tobytes() == bench.ingest.reduction.base(pixels(slot)).sums.tobytes()


def test_the_appendix_tells_the_grid_point(tmp_path: Path) -> None:
    points = random.Random(1).sample(range(12), 12)
    bench = Bench.open(tmp_path, **APPENDIX)
    bench.send(v1_start(), *(sent(n, point, position=0.49, angle=-29.9) for n, point in enumerate(points)))
    assert_in_place(bench, list(range(12)))
    bench.close()


def test_frame_numbers_beyond_the_grid_do_not_matter_there(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **APPENDIX).send(v1_start(), sent(5000, 3), sent(5001, 3), sent(5002, 4))
    assert bench.counts == {"received": 3, "integrated": 2, "duplicate": 1}
    assert_in_place(bench, [3, 4])
    bench.close()


@pytest.mark.parametrize(
    ("axis", "away", "taken"),
    [
        ("position", 0.5, True),
        ("position", 0.51, False),
        ("angle", 30.0, True),
        ("angle", 30.1, False),
        ("slice", -0.5, True),
        ("slice", -0.6, False),
        ("angle", 360.0, True),
        ("position", float("nan"), False),
    ],
)
def test_more_than_half_a_step_off_is_off_the_grid(tmp_path: Path, axis: str, away: float, taken: bool) -> None:
    bench = Bench.open(tmp_path, **APPENDIX).send(v1_start(), sent(0, 11, **{axis: away}))
    fate = {"integrated": 1} if taken else {"rejected": {"off-grid": 1}}
    assert bench.counts == {"received": 1, **fate}
    bench.close()


@pytest.mark.parametrize("appendix", [None, {}, {"i0": 1}, "text", {"position": "x"}, {"position": [1]}])
def test_an_appendix_without_coordinates_is_off_the_grid(tmp_path: Path, appendix: Any) -> None:
    bench = Bench.open(tmp_path, **APPENDIX).send(v1_start(), v1(0, appendix=appendix))
    assert bench.counts == {"received": 1, "rejected": {"off-grid": 1}}
    bench.close()


def test_an_axis_that_the_appendix_does_not_tell_is_that_of_the_frame_number(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **APPENDIX)
    bench.send(v1_start(), v1(6, image=pixels(7), appendix={"position": 1.5}), v1(12, appendix={"position": 0.5}))
    assert bench.counts == {"received": 2, "integrated": 1, "rejected": {"beyond-grid": 1}}
    assert_in_place(bench, [7])
    bench.close()


def pcap(first: int, points: list[int], **columns: list[float]) -> dict[str, Any]:
    told = columns or {axis: [place(point)[axis] for point in points] for axis in ("angle", "position")}
    return {"message_type": "data", "frame_number": first, "version": 1, **told}


def test_encoders_tell_the_grid_point_before_or_after_the_frame(tmp_path: Path) -> None:
    points = random.Random(2).sample(range(12), 12)
    bench = Bench.open(tmp_path, **PCAP).hear({"message_type": "series-start"}, pcap(0, points[:5]))
    bench.send(v1_start(), *(v1(n, image=pixels(point)) for n, point in enumerate(points)))
    assert bench.turn() == "acquiring"
    assert bench.ingest.books.ledger.integrated == 5
    bench.hear(pcap(5, points[5:]), {"message_type": "series-end"})
    assert bench.turn() == "ended"
    assert bench.counts == {"received": 12, "integrated": 12}
    assert_in_place(bench, list(range(12)))
    bench.close()


def test_named_columns_scale_and_offset(tmp_path: Path) -> None:
    axes = {"position": {"column": "x_mm", "scale": 1000, "offset": -1.5}, "angle": "rot"}
    bench = Bench.open(tmp_path, scan={"index": "pcap"}, monitors=[ENCODER | {"axes": axes}])
    bench.hear(pcap(0, [], x_mm=[0.003, 0.001], rot=[60.0, 120.0], position=[9.0, 9.0]))
    bench.send(v1_start(), v1(0, image=pixels(7)), v1(1, image=pixels(9)))
    assert_in_place(bench, [7, 9])
    bench.close()


def test_a_position_that_never_comes_is_waited_for_within_bounds(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **PCAP).send(v1_start(), v1(0), v1(1, image=pixels(1)))
    assert bench.turn(9) == "waiting"
    assert bench.ingest.books.ledger.accounted == 0
    assert bench.turn(2) == "waiting"
    bench.hear(pcap(1, [1]))
    assert bench.counts == {"received": 2, "rejected": {"off-grid": 2}}
    bench.close()


def test_a_lost_reading_holds_the_others_back_only_for_a_moment(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **PCAP).send(v1_start(), v1(0), v1(1, image=pixels(1)))
    bench.hear(pcap(1, [1]))
    assert bench.turn(0.4) == "waiting"
    bench.turn(0.2)
    assert bench.counts == {"received": 2, "integrated": 1, "rejected": {"off-grid": 1}}
    bench.close()


def test_a_scan_ends_only_when_no_frame_waits(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **PCAP).send(v1_start(), v1(0), v1_end())
    assert bench.turn(5) == "waiting"
    bench.hear(pcap(0, [0]))
    assert bench.turn() == "ended"
    assert bench.counts == {"received": 1, "integrated": 1}
    bench.close()


def test_killed_while_frames_wait(tmp_path: Path) -> None:
    """What was heard before is remembered, what waited is taken from the recording again, and nothing counts twice."""
    points = random.Random(3).sample(range(12), 12)
    images = [v1(n, image=pixels(point)) for n, point in enumerate(points)]
    first = Bench.open(tmp_path, **PCAP).hear({"message_type": "series-start"}, pcap(0, points[:8]))
    first.send(v1_start(), images[0], [b"noise"], images[8], [b"noise"], images[1])
    first.turn()
    assert (first.ingest.books.ledger.integrated, first.ingest.books.ledger.accounted) == (1, 2)
    first.kill()
    second = Bench.open(tmp_path, **PCAP).hear(pcap(8, points[8:])).send(*images[2:])
    assert second.turn() == "ended"
    assert second.counts == {"received": 15, "integrated": 12, "duplicate": 1, "rejected": {"not-decodable": 2}}
    assert_in_place(second, list(range(12)))
    second.close()
