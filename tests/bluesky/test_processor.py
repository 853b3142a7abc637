"""The processor as a device of a real RunEngine: what it reads is what the maps say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import numpy.typing as npt
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky.preprocessors import run_wrapper
from bluesky.protocols import (
    Collectable,
    Flyable,
    HasHints,
    NamedMovable,
    Preparable,
    Readable,
    Stageable,
    Triggerable,
    WritesStreamAssets,
)
from bluesky.utils import MsgGenerator
from event_model import DocumentNames, schema_validators
from helpers.dashboard import KEY, serving
from helpers.fake_run import FakeRun

from stream.bluesky import processor as module
from stream.bluesky.processor import QUALITY, Processor
from stream.core.revision import read_revision


def arrays(run: FakeRun) -> Mapping[str, npt.NDArray[Any]]:
    """The maps of its latest revision."""
    revision = read_revision(run.directory.revision)
    assert revision is not None
    return revision.arrays


def test_quality_is_what_the_maps_say(tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    run.advance(0.5)
    documents: list[tuple[str, dict[str, Any]]] = []
    engine = RunEngine(context_managers=[])
    engine.subscribe(lambda name, document: documents.append((name, document)))
    with serving(run) as url:
        device = Processor(f"{url}/#key={KEY}", phase="layered")
        engine(count([device], num=2))
        before = arrays(run)
        run.advance(0.6)
        engine(count([device]))
    events = [document["data"] for name, document in documents if name == "event"]
    assert set(events[0]) == {f"processor-{quantity}" for quantity in QUALITY}
    strain = before["maps/strain_layered"][0]
    assert events[0]["processor-strain"] == pytest.approx(np.nanmedian(strain), rel=1e-6)
    assert events[0]["processor-coverage"] == pytest.approx(np.nanmean(before["maps/coverage"][0]), rel=1e-6)
    assert np.isnan(events[0]["processor-class_change"])
    assert np.isnan(events[1]["processor-class_change"]), "the same map tells nothing new"
    first, now = (maps["maps/class_index"][0] for maps in (before, arrays(run)))
    changed = (first != now)[(first >= 0) | (now >= 0)].mean()
    assert events[2]["processor-class_change"] == pytest.approx(changed)
    assert events[2]["processor-used"] == round(0.6 * run.grid.size)
    assert events[1]["processor-frames"] + events[1]["processor-missing"] == run.grid.size
    for name, document in documents:
        schema_validators[DocumentNames[name]].validate(document)


def flown_by_itself(device: Processor, flies: threading.Event) -> MsgGenerator[None]:
    """Staged, prepared, flown and collected by plain messages."""
    yield from bps.stage(device)
    yield from bps.prepare(device, None, wait=True)
    yield from bps.kickoff(device, wait=True)
    flies.set()
    yield from bps.complete(device, wait=True)
    yield from bps.declare_stream(device, name="maps", collect=True)
    yield from bps.collect(device, name="maps")
    yield from bps.unstage(device)


@pytest.mark.parametrize("face", [NamedMovable, Readable, Triggerable, Stageable, Preparable, Flyable, Collectable,
                                  WritesStreamAssets, HasHints])  # fmt: skip
def test_it_has_the_faces_of_blueskys_own_protocols(face: type) -> None:
    assert isinstance(Processor("http://127.0.0.1:9"), face)


def test_final_maps_are_pointed_at(tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    run.advance(0.5)
    documents: list[tuple[str, dict[str, Any]]] = []
    engine = RunEngine(context_managers=[])
    engine.subscribe(lambda name, document: documents.append((name, document)))
    with serving(run) as url:
        device = Processor(url, phase="layered")
        flies = threading.Event()
        plan = threading.Thread(target=engine, args=(run_wrapper(flown_by_itself(device, flies)),))
        plan.start()
        assert flies.wait(30)
        assert not documents[1:], "it waits for the end of the run"
        run.advance(1.0, "complete")
        plan.join(30)
    for name, document in documents:
        schema_validators[DocumentNames[name]].validate(document)
    tiled = f"http://127.0.0.1:{run.config.tiled_port if run.config.publish.port else int(url.rpartition(':')[2]) + 1}"
    names = ["class_index", "coverage", "strain_layered", "strain_error_layered"]
    assert {document["uri"] for name, document in documents if name == "stream_resource"} == {
        f"{tiled}/api/v1/array/full/ncm622-cycled/maps/{name}" for name in names
    }
    data = [document for name, document in documents if name == "stream_datum"]
    assert [datum["seq_nums"] for datum in data] == [{"start": 1, "stop": 2}] * len(names)
    descriptor = next(document for name, document in documents if name == "descriptor")
    assert {tuple(key["shape"]) for key in descriptor["data_keys"].values()} == {run.grid.map_shape}


def test_a_processor_that_is_away_holds_up_no_plan_and_is_waited_for_before_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "DEFAULT_TIMEOUT", 0.3)
    device = Processor("http://127.0.0.1:9")

    async def use() -> None:
        await device.trigger()
        with pytest.raises(TimeoutError, match="takes no frames"):
            await device.prepare()

    asyncio.run(use())
