"""Every message has one fate, whatever it is, and the next good one is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest
from helpers.bench import SHAPE, Bench, Message, pixels, scan_messages, v1, v1_end, v1_start, v2, v2_start
from helpers.encode import multi_dim, stins_image
from helpers.hostile import CASES, Hostile
from helpers.hostile_streams import MONITORS, WITHOUT_SERIES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.core.errors import MessageError
from stream.core.messages import Image
from stream.core.wire import decode
from stream.ingest.window import WORKED_ON


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench.open(tmp_path)
    yield bench
    bench.close()


def open_with(tmp_path: Path, **changes: dict[str, Any]) -> Bench:
    return Bench.open(tmp_path, recording={"frames": False}, **changes)


def test_a_whole_series(bench: Bench) -> None:
    bench.send(*scan_messages())
    assert bench.counts == {"received": 12, "integrated": 12}
    assert bench.turn() == "ended"
    assert [(row.slot, row.series, row.frame, row.monitor) for row in bench.rows] == [
        (n, "1", n, None) for n in range(12)
    ]


def test_patterns_are_those_of_their_frames(bench: Bench) -> None:
    bench.send(*scan_messages())
    integrate = bench.ingest.reduction.base
    for n in range(12):
        expected = integrate(pixels(n))
        np.testing.assert_array_equal(bench.pattern(n).sums, expected.sums)
        np.testing.assert_array_equal(bench.pattern(n).norms, expected.norms)


def test_the_second_of_a_point_is_a_duplicate_also_when_it_differs(bench: Bench) -> None:
    bench.send(v1_start(), v1(0), v1(0), v1(0, image=pixels(99)))
    assert bench.counts == {"received": 3, "integrated": 1, "duplicate": 2}
    bench.send(v1(0, image=pixels(98)))  # long after the first one was journalled
    assert bench.counts == {"received": 4, "integrated": 1, "duplicate": 3}
    np.testing.assert_array_equal(bench.pattern(0).sums, bench.ingest.reduction.base(pixels(0)).sums)


def test_the_first_valid_frame_wins_after_rejected_ones(bench: Bench) -> None:
    head, data, blob, times = v1(3)
    cut = [head, data, blob[:-9], times]
    damaged = [head, data, blob[:16] + b"\xff" * 200 + blob[216:], times]
    bench.send(cut, damaged, v1(3), v1(3), damaged)
    rejected = {"truncated": 1, "not-decodable": 2}
    assert bench.counts == {"received": 5, "integrated": 1, "duplicate": 1, "rejected": rejected}
    np.testing.assert_array_equal(bench.pattern(3).sums, bench.ingest.reduction.base(pixels(3)).sums)


def test_frames_beyond_the_grid(bench: Bench) -> None:
    bench.send(v1(12), v1(2**62), v1(11))
    assert bench.counts == {"received": 3, "integrated": 1, "rejected": {"beyond-grid": 2}}


def test_the_first_message_of_each_reason_is_told(bench: Bench) -> None:
    bench.send(v1(12), v1(13), [b"noise"], v1(0))
    assert bench.counts["rejected"] == {"beyond-grid": 2, "not-decodable": 1}
    told = [text for text in bench.events if text.startswith("rejected as")]
    assert [text.split(",")[0] for text in told] == ["rejected as beyond-grid", "rejected as not-decodable"]
    assert "frame 12 is beyond the grid of 12" in told[0]


def test_the_announced_number_of_images_never_changes_the_grid(bench: Bench) -> None:
    bench.send(v1_start(nimages=100_000, ntrigger=5), v1(0))
    assert bench.frames["expected"] == 12
    bench.send(v1_start(nimages=2, ntrigger=1), v1(11))
    assert bench.counts == {"received": 2, "integrated": 2}


def test_a_foreign_series(bench: Bench) -> None:
    bench.send(v1_start(1), v1(0, 1), v1(1, 2), v1(1, 1))
    assert bench.counts == {"received": 3, "integrated": 2, "rejected": {"foreign-series": 1}}
    assert {row.series for row in bench.rows} == {"1"}


def test_an_image_before_any_header_opens_its_series(bench: Bench) -> None:
    bench.send(v1(5, 7), v1(6, 8), v1(6, 7))
    assert bench.counts == {"received": 3, "integrated": 2, "rejected": {"foreign-series": 1}}
    assert any("series 7 is taken without its header" in text for text in bench.events)


def test_a_stale_end_is_noted_and_ends_nothing(bench: Bench) -> None:
    bench.send(v1_end(3))
    assert bench.turn(1000) == "waiting"
    assert bench.counts == {}
    bench.send(v1_start(4), v1(0, 4), v1_end(3))
    assert bench.turn(5) == "acquiring"
    assert sum("stale end of series 3" in text for text in bench.events) == 2


def test_a_new_series_before_the_old_one_ended(bench: Bench) -> None:
    bench.send(v1_start(1), v1(0, 1), v1_start(2), v1(1, 2), v1(2, 1), v1(0, 2))
    assert bench.counts == {"received": 4, "integrated": 2, "duplicate": 1, "rejected": {"foreign-series": 1}}
    assert any("series 2 began before series 1 had ended" in text for text in bench.events)


def test_a_header_that_comes_again_is_no_new_series(bench: Bench) -> None:
    bench.send(v1_start(1), v1(0, 1), v1_start(1), v1(1, 1))
    assert bench.counts == {"received": 2, "integrated": 2}
    assert bench.events == []


def test_wrong_shape_and_type(bench: Bench) -> None:
    turned = np.ascontiguousarray(pixels(0).T)
    bench.send(v1(0, image=turned), v1(0, image=pixels(0, "<u8")), v1(0, image=pixels(0).astype("<i4")), v1(0))
    assert bench.counts == {"received": 4, "integrated": 1, "rejected": {"shape": 1, "dtype": 2}}


@pytest.mark.parametrize("dtype", ["u1", "<u2", "<u4"])
def test_every_width_of_pixel(bench: Bench, dtype: str) -> None:
    bench.send(v1(0, image=pixels(0, dtype)))
    np.testing.assert_array_equal(bench.pattern(0).sums, bench.ingest.reduction.base(pixels(0)).sums)


def expected_reason(case: Hostile) -> str:
    """Ingest compares shape and type with the geometry before it looks at the pixels."""
    try:
        event = decode(case.parts)
    except MessageError as error:
        return error.reason
    assert isinstance(event, Image)
    (array,) = event.channels.values()
    if array.shape != SHAPE:
        return "shape"
    return "dtype" if array.dtype.itemsize > 4 else case.reject


def stins(frame: int) -> Message:
    return stins_image(pixels(frame), frame=frame, compression="none")


GOOD: dict[str, tuple[Message, Callable[[int], Message], list[Hostile]]] = {
    "v1": (v1_start(), v1, [case for case in CASES if not case.name.startswith("v2")]),
    "v2": (v2_start(), v2, [case for case in CASES if case.name.startswith("v2")]),
    "stins": ([b'{"htype":"header"}'], stins, WITHOUT_SERIES),
}
"""Of each format a header, what makes images, and hostile messages."""


@pytest.mark.parametrize("version", GOOD)
def test_after_each_hostile_message_the_next_good_one_is_taken(tmp_path: Path, version: str) -> None:
    """The good frame has the number of the bad one, and comes right behind it."""
    header, good, cases = GOOD[version]
    bench = Bench.open(tmp_path, scan={"angles": {"start": 0, "step": 1, "count": len(cases)}})
    bench.send(header)
    expected: dict[str, int] = {}
    for n, case in enumerate(cases, start=1):
        reason = expected_reason(case)
        bench.send(case.parts, good(n - 1))
        counts = bench.counts
        expected[reason] = expected.get(reason, 0) + 1
        assert counts == {"received": 2 * n, "integrated": n, "rejected": expected}, case.name
    bench.close()


def test_a_hostile_monitor_harms_no_frame(tmp_path: Path) -> None:
    stream = {"endpoint": "tcp://127.0.0.1:2", "format": "maxiv-pcap", "key": "i0"}
    bench = Bench.open(tmp_path, monitors=[stream]).send(v1_start())
    for case in MONITORS:
        bench.ingest.accept(case.parts, 0.0, stream=1)
    bench.hear({"message_type": "data", "frame_number": 0, "i0": [3.0]}).send(v1(0))
    assert [row.monitor for row in bench.rows] == [3.0]
    assert bench.ingest.books.ledger.state()["monitors"] == [{"received": len(MONITORS) + 1, "rejected": len(MONITORS)}]
    bench.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_flipped_or_cut_message_is_rejected_or_taken_never_fatal(bench: Bench, data: st.DataObject) -> None:
    before = bench.frames
    parts = [bytearray(part) for part in data.draw(st.sampled_from([v1(0), v2(0), v1_start(), v1_end(), v2_start()]))]
    part = data.draw(st.sampled_from(parts))
    at = data.draw(st.integers(0, len(part) - 1))
    if data.draw(st.booleans()):
        part[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del part[at:]
    bench.send([bytes(each) for each in parts])
    after = bench.frames
    assert after["received"] - before["received"] in {0, 1}


def test_monitors(tmp_path: Path) -> None:
    bench = open_with(tmp_path, detector={"endpoint": "tcp://a:1", "geometry": "detector.poni", "monitor": "i0"})
    told = [{"i0": 12.5}, {"i0": "3e2"}, {"i0": None}, {"i0": "off"}, {"i1": 3}, [1, 2], {"i0": {"a": 1}}]
    bench.send(v1_start(), *(v1(n, appendix=appendix) for n, appendix in enumerate(told)), v1(7))
    bench.send([*v1(8), b'{"i0": 1e999}'], [*v1(9), b"\xff not json"])
    found = [row.monitor for row in bench.rows]
    np.testing.assert_array_equal(np.array(found, dtype=float), [12.5, 300.0] + [np.nan] * 8)
    assert None not in found
    bench.close()


@pytest.mark.parametrize("appendix", [{"i0": 4}, b'{"i0": 4}', '{"i0": 4.0}'])
def test_monitor_of_every_form_of_v2_user_data(tmp_path: Path, appendix: Any) -> None:
    bench = open_with(tmp_path, detector={"endpoint": "tcp://a:1", "geometry": "detector.poni", "monitor": "i0"})
    bench.send(v2_start(), v2(0, user_data=appendix), v2(1, user_data={"i0": cbor2.CBORTag(2, b"\xff" * 200)}))
    assert bench.rows[0].monitor == 4.0
    assert all(np.isnan(row.monitor or np.nan) for row in bench.rows[1:])
    bench.close()


def test_the_exposure_as_monitor(tmp_path: Path) -> None:
    bench = open_with(tmp_path, detector={"endpoint": "tcp://a:1", "geometry": "detector.poni", "monitor": "real_time"})
    bench.send(v1(0), v2(1))
    assert [row.monitor for row in bench.rows] == [pytest.approx(2e-3)]  # the V2 frame is of another series
    bench.close()


def test_which_channel(tmp_path: Path) -> None:
    bench = open_with(tmp_path, detector={"endpoint": "tcp://a:1", "geometry": "detector.poni", "channel": "high"})
    both = {"low": multi_dim(pixels(0)), "high": multi_dim(pixels(50))}
    bench.send(v2(0, data=both), v2(1, data={"low": multi_dim(pixels(1))}))
    np.testing.assert_array_equal(bench.pattern(0).sums, bench.ingest.reduction.base(pixels(50)).sums)
    assert bench.counts == {"received": 2, "integrated": 1, "rejected": {"not-decodable": 1}}
    bench.close()


def test_the_first_frame_number(tmp_path: Path) -> None:
    bench = open_with(tmp_path, detector={"endpoint": "tcp://a:1", "geometry": "detector.poni", "first_frame": 1})
    bench.send(v1(0), v1(1), v1(12))
    assert [(row.slot, row.frame) for row in bench.rows] == [(0, 1), (11, 12)]
    assert bench.frames["rejected"] == {"beyond-grid": 1}
    bench.close()


def array1(frame: int) -> list[bytes]:
    head = f'{{"htype":"array-1.0","frame":{frame},"shape":[71,95],"type":"uint32"}}'
    return [head.encode(), pixels(frame).tobytes()]


def test_the_first_frame_seen_begins_a_stream_that_counts_for_ever(tmp_path: Path) -> None:
    detector = {"endpoint": "tcp://a:1", "geometry": "detector.poni", "format": "array-1", "first_frame": None}
    bench = open_with(tmp_path, detector=detector)
    bench.send(array1(7_000_000), array1(7_000_011), array1(7_000_012), array1(6_999_999))
    assert [(row.slot, row.frame) for row in bench.rows] == [(0, 7_000_000), (11, 7_000_011)]
    assert bench.frames["rejected"] == {"beyond-grid": 2}
    bench.kill()
    again = open_with(tmp_path, detector=detector).send(array1(7_000_003))
    assert [row.slot for row in again.rows] == [0, 11, 3]
    again.close()


def test_mask_and_saturation_of_the_header(tmp_path: Path) -> None:
    mask = np.zeros(SHAPE, dtype="<u4")
    mask[20:40, 30:60] = 4
    bench = open_with(tmp_path)
    bench.send(v1_start(1, mask, countrate_correction_count_cutoff=3), v1(0))
    expected = bench.ingest.reduction.base.for_series(mask != 0, 3)(pixels(0))
    plain = bench.ingest.reduction.base(pixels(0))
    np.testing.assert_array_equal(bench.pattern(0).norms, expected.norms)
    np.testing.assert_array_equal(bench.pattern(0).sums, expected.sums)
    assert (plain.norms > expected.norms).any()
    bench.send(v1_start(2), v1(1, 2))  # the next series says nothing of its pixels
    np.testing.assert_array_equal(bench.pattern(1).norms, bench.ingest.reduction.base(pixels(1)).norms)
    bench.close()


@pytest.mark.parametrize("mask", [np.ones((95, 71), "<u4"), np.ones((2, 2), "<u4")])
def test_a_mask_that_does_not_fit_is_noted_and_not_used(tmp_path: Path, mask: Any) -> None:
    bench = open_with(tmp_path)
    bench.send(v1_start(1, mask), v1(0))
    np.testing.assert_array_equal(bench.pattern(0).norms, bench.ingest.reduction.base(pixels(0)).norms)
    assert any("mask of series 1 is not used" in text for text in bench.events)
    bench.close()


def test_what_header_and_geometry_disagree_on_is_noted(bench: Bench) -> None:
    bench.send(v1_start(1, wavelength=0.9, x_pixel_size=4e-4, y_pixel_size=75e-6, x_pixels_in_detector=95))
    assert [text.split(",")[0] for text in bench.events] == [
        "the detector says wavelength 0.9 Å",
        "the detector says pixels of 7.5e-05 m",
    ]


def test_messages_between_socket_and_journal_are_bounded(tmp_path: Path) -> None:
    bench = open_with(tmp_path, scan={"angles": {"start": 0, "step": 1, "count": 50}})
    for frame in range(200):
        bench.send(v1(frame))
        assert len(bench.ingest.window._working) <= WORKED_ON
    size = sum(map(len, v1(0)))
    bench.ingest.settle()
    bench.ingest.window.limit = 3 * size
    for frame in range(200):
        bench.send(v1(frame))
        assert sum(each.size for each in bench.ingest.window._working) <= bench.ingest.window.limit
    assert bench.counts == {"received": 400, "integrated": 200, "duplicate": 200}
    bench.close()


def test_without_recording_no_file_is_written(tmp_path: Path) -> None:
    bench = open_with(tmp_path).send(*scan_messages())
    assert list(bench.directory.recording.iterdir()) == []
    bench.close()
