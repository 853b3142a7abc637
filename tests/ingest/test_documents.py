"""Where frames lie by the documents of a plan: any way of counting, rewinds, pages, units; and how they are kept."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bench import Bench, pixels, v1, v1_start
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.bluesky_scan import scan_section
from stream.core.config.scan import ScanConfig
from stream.core.documents import Document, KeptDocuments, decode_document, encode_document, keep_document
from stream.core.errors import ConfigError, MessageError
from stream.core.scan import ScanGrid
from stream.ingest.documents import Documents
from stream.ingest.ledger_reader import LedgerReader
from stream.ingest.sources import RecordingSource

SCAN = {"name": "x", "angles": {"start": 0.0, "step": 30.0, "count": 3},
        "positions": {"start": -4.0, "step": 2.0, "count": 5}}  # fmt: skip
GRID = ScanGrid.from_config(ScanConfig.model_validate(SCAN))
POINTS = [(angle, position) for angle in GRID.angles.tolist() for position in GRID.positions.tolist()]


def told(path: Path, *documents: tuple[str, dict[str, Any]]) -> Documents:
    for name, content in documents:
        keep_document(path, Document(name, content))
    found = Documents(KeptDocuments(path), GRID)
    list(found.news(0.0))
    return found


def start(**own: Any) -> tuple[str, dict[str, Any]]:
    return "start", {"uid": "u", "motors": ["rot", "x"], "xrdct": own}


def descriptor(units: str = "um", name: str = "primary") -> tuple[str, dict[str, Any]]:
    return "descriptor", {"uid": name, "name": name, "data_keys": {"x": {"units": units}, "rot": {"units": "deg"}}}


def event(seq: int, point: int, scale: float = 1.0, **data: Any) -> tuple[str, dict[str, Any]]:
    angle, position = POINTS[point]
    return "event", {"descriptor": "primary", "seq_num": seq, "data": {"rot": angle, "x": position * scale, **data}}


def slot(documents: Documents, frame: int) -> int | None:
    where = documents.where(frame)
    return GRID.locate(frame, where) if where else None


@pytest.mark.parametrize(("units", "scale"), [("um", 1.0), ("mm", 1e-3), ("nm", 1e3)])
def test_events_in_any_unit(tmp_path: Path, units: str, scale: float) -> None:
    found = told(tmp_path / "d", start(), descriptor(units), *(event(n + 1, 14 - n, scale) for n in range(15)))
    assert [slot(found, n) for n in range(15)] == [14 - n for n in range(15)]
    assert slot(found, 15) is None


def test_a_page_and_the_detectors_own_count(tmp_path: Path) -> None:
    columns = {"rot": [a for a, _ in POINTS], "x": [p for _, p in POINTS], "i0": [10.0 + n for n in range(15)]}
    page = {"descriptor": "primary", "seq_num": list(range(1, 16)), "data": columns}
    datum = {"descriptor": "primary", "indices": {"start": 2, "stop": 17}, "seq_nums": {"start": 1, "stop": 16}}
    found = told(tmp_path / "d", start(monitor="i0"), descriptor(), ("stream_datum", datum), ("event_page", page))
    assert [slot(found, n + 2) for n in range(15)] == list(range(15))
    assert [found.intensity(n) for n in (1, 2, 16)] == [None, 10.0, 24.0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("start", {"uid": "u", "motors": 7}),
        ("event", {"descriptor": ["primary"], "seq_num": 1, "data": {}}),
        ("stream_datum", {"descriptor": "primary", "indices": {"start": "x"}, "seq_nums": {}}),
    ],
)
def test_a_document_of_other_kinds_of_fields_is_told_and_the_next_one_taken(
    tmp_path: Path, name: str, content: dict[str, Any]
) -> None:
    path = tmp_path / "d"
    for document in (start(), descriptor(), (name, content), start(), event(1, 3)):
        keep_document(path, Document(*document))
    found = Documents(KeptDocuments(path), GRID)
    assert sum("cannot be used" in note for note in found.news(0.0)) == 1
    assert slot(found, 0) == 3


def test_another_stream_of_events_counts_for_nothing(tmp_path: Path) -> None:
    baseline = ("event", {"descriptor": "baseline", "seq_num": 1, "data": {"rot": 60.0, "x": 4.0}})
    found = told(tmp_path / "d", start(), descriptor(name="baseline"), baseline, descriptor(), event(1, 3))
    assert slot(found, 0) == 3


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.tuples(st.integers(0, 14), st.integers(1, 5), st.booleans()), max_size=6))
def test_a_rewind_gives_up_the_frames_that_came_again(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[tuple[int, int, bool]]
) -> None:
    """The plan goes back by some points, once after an exposure whose event never came: the detector counts on."""
    frame, point, seq_of, documents = 0, 0, {}, [start(frame="n"), descriptor()]
    cuts = sorted(cuts)
    while point < 15:
        if cuts and point >= cuts[0][0]:
            _, back, exposed = cuts.pop(0)
            frame += exposed
            point = max(0, point - back)
        seq_of.setdefault(point, []).append(frame)
        documents.append(event(point + 1, point, n=frame))
        frame, point = frame + 1, point + 1
    found = told(tmp_path_factory.mktemp("d") / "d", *documents)
    assert {slot(found, frames[-1]): point for point, frames in seq_of.items()} == {n: n for n in range(15)}
    assert found.superseded == {frame for frames in seq_of.values() for frame in frames[:-1]}


PLAN: dict[str, Any] = {"scan": {"index": "bluesky"}}
STEPS = [*range(6), 4, 5, *range(6, 12), 11]
"""Points of the bench's grid in the order of their exposures: the plan goes back twice."""


def of_bench(seq: int, point: int) -> Document:
    where = {"rot": 60.0 * (point // 4), "x": -1.5 + point % 4}
    return Document("event", {"descriptor": "primary", "seq_num": seq, "data": where})


def arrive(bench: Bench, frames: range) -> None:
    """Exposures, each with its event behind it."""
    for n in frames:
        bench.send(v1(n, image=pixels(100 * n + STEPS[n])))
        keep_document(bench.directory.documents, of_bench(STEPS[n] + 1, STEPS[n]))
        bench.turn(0.03)


def assert_each_point_has_its_last_frame(bench: Bench) -> None:
    assert bench.counts == {"received": 15, "integrated": 12, "dropped": {"superseded": 3}}
    last = {point: n for n, point in enumerate(STEPS)}
    assert {row.slot: row.frame for row in bench.rows} == last
    for point, n in last.items():
        expected = bench.ingest.reduction.base(pixels(100 * n + point)).sums
        np.testing.assert_array_equal(bench.pattern(point).sums, expected)


@pytest.mark.parametrize("killed_after", [3, 6, 7, 8, 14, None])
def test_a_point_measured_again_holds_the_later_frame(tmp_path: Path, killed_after: int | None) -> None:
    bench = Bench.open(tmp_path, **PLAN).send(v1_start())
    for document in (Document(*start()), Document(*descriptor())):
        keep_document(bench.directory.documents, document)
    arrive(bench, range(killed_after or 15))
    if killed_after is not None:
        bench.kill()
        bench = Bench.open(tmp_path, **PLAN)
        arrive(bench, range(killed_after, 15))
    assert_each_point_has_its_last_frame(bench)
    bench.close()


def test_a_replay_has_all_documents_at_once(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, sent_again=True, **PLAN)
    events = [of_bench(point + 1, point) for point in STEPS]
    stop = Document("stop", {"run_start": "u", "exit_status": "success"})
    for document in (Document(*start()), Document(*descriptor()), *events, stop):
        keep_document(bench.directory.documents, document)
    bench.turn(0.03)
    bench.send(v1_start(), *(v1(n, image=pixels(100 * n + point)) for n, point in enumerate(STEPS)))
    assert bench.turn(60.0) == "ended"
    assert_each_point_has_its_last_frame(bench)
    bench.close()


def test_a_plan_rests_for_as_long_as_it_likes_and_its_end_is_the_scans(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **PLAN).send(v1_start())
    for document in (Document(*start()), Document(*descriptor())):
        keep_document(bench.directory.documents, document)
    arrive(bench, range(3))
    bench.send(v1(3, image=pixels(3)))  # exposed, and then the plan rests before its event
    assert [bench.turn(600.0) for _ in range(3)] == ["acquiring"] * 3
    keep_document(bench.directory.documents, of_bench(4, 3))
    bench.turn(0.03)
    aborted = {"run_start": "u", "exit_status": "abort", "reason": "beam lost"}
    keep_document(bench.directory.documents, Document("stop", aborted))
    assert [bench.turn(0.03), bench.turn(1.0), bench.turn(1.5)] == ["acquiring", "acquiring", "ended"]
    assert bench.counts == {"received": 4, "integrated": 4}
    assert "the Bluesky run ended as 'abort': beam lost" in bench.events
    bench.close()


def test_a_plan_is_known_at_once_and_at_the_end(tmp_path: Path) -> None:
    """A start document that comes before anything else, and one in the moment in which ingest is told to end."""
    bench = Bench.open(tmp_path, **PLAN)
    keep_document(bench.directory.documents, Document(*start()))
    bench.turn(0.03)
    reader = LedgerReader(bench.directory.ledger, bench.ingest.reduction.grid)
    assert reader.snapshot().state["bluesky"]["uid"] == "u"
    keep_document(bench.directory.documents, Document("start", {"uid": "v"}))
    over = threading.Event()
    over.set()
    bench.ingest.run(RecordingSource(iter(())), over)
    assert reader.snapshot().state["bluesky"]["uid"] == "v"
    reader.close()
    bench.close()


def test_lines_cut_short_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "d"
    keep_document(path, Document("start", {"uid": "a"}))
    with path.open("ab") as file:
        file.write(b'\n["event", {"seq_')
    keep_document(path, Document("stop", {"run_start": "a"}))
    kept = KeptDocuments(path)
    assert [name for name, _ in kept.new()] == ["start", "stop"]
    assert list(kept.new()) == []


def test_messages() -> None:
    content = {"uid": "a", "time": 1.5, "data": {"x": np.float64(2.5), "image": np.zeros(2)}}
    name, found = decode_document(encode_document("event", content))
    assert (name, found["data"]) == ("event", {"x": 2.5, "image": [0.0, 0.0]})
    for parts in ([b"x"], [b"bluesky-doc-v1", b"pickle", b"{}"], [b"bluesky-doc-v1", b"start", b"\x80\x04"],
                  [b"bluesky-doc-v1", b"start", b"[1]"]):  # fmt: skip
        with pytest.raises(MessageError):
            decode_document(parts)


def test_grids_of_start_documents() -> None:
    order = ("slice", "angle", "position")
    plain = {"motors": ["rot", "x"], "shape": [3, 5], "extents": [[0, 60], [-4, 4]], "snaking": [False, True]}
    section = scan_section({**plain, "uid": "u", "sample": {"name": "LNMO"}}, order)
    grid = ScanGrid.from_config(ScanConfig.model_validate({"name": "x", **section}))
    assert (grid.angles.tolist(), grid.positions.tolist()) == (GRID.angles.tolist(), GRID.positions.tolist())
    assert grid.visit[5:10].tolist() == [9, 8, 7, 6, 5]
    assert section["sample"] == "LNMO"
    named = {**plain, "motors": ["x", "rot"], "extents": [[-4, 4], [0, 60]], "shape": [5, 3],
             "xrdct": {"axes": {"angle": "rot", "position": "x"}}}  # fmt: skip
    assert scan_section(named, order)["order"] == ["slice", "position", "angle"]
    with pytest.raises(ConfigError, match="tells no grid"):
        scan_section({"uid": "u", "motors": ["x"]}, order)
    with pytest.raises(ConfigError, match="'energy'"):
        scan_section({**named, "motors": ["energy", "rot"]}, order)
