"""A beamline without a processor: an engine, motors that fly, a detector whose frames say which point was exposed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bluesky.plan_stubs as bps
import cbor2
import numpy as np
import zmq
from bluesky import RunEngine
from event_model import DocumentNames, schema_validators
from helpers.beamline import drive, interrupted
from helpers.ports import free_port
from ophyd_async.sim import SimMotor

from stream.bluesky.virtual import VirtualDetector
from stream.bluesky.virtual_flyer import VirtualFlyer
from stream.core.config.scan import ScanConfig
from stream.core.documents import Document, KeptDocuments, keep_document
from stream.core.scan import ScanGrid
from stream.ingest.documents import Documents
from stream.simulate.wire import Series, make_encoder

SHAPE = (4, 4)


@dataclass
class Exposures:
    """In the place of a virtual scan: which points of the grid were exposed, in their order."""

    grid: ScanGrid
    seen: list[int] = field(default_factory=list)
    detector: Any = field(default_factory=lambda: SimpleNamespace(shape=SHAPE))

    def frame(self, n: int) -> tuple[Any, dict[str, float]]:
        self.seen.append(n)
        return np.zeros(SHAPE, np.uint16), {"i0": 1.0 + n}


@dataclass
class Hutch:
    """An engine whose documents are validated and kept in `path`; somebody takes the frames sent at `endpoint`."""

    path: Path
    engine: RunEngine = field(default_factory=lambda: RunEngine(context_managers=[]))
    endpoint: str = field(default_factory=lambda: f"tcp://127.0.0.1:{free_port()}")
    motors: dict[str, SimMotor] = field(init=False)

    def __post_init__(self) -> None:
        self.motors = {
            "slice": SimMotor("z", units="um"),
            "angle": SimMotor("rot", units="deg"),
            "position": SimMotor("x", units="um"),
        }
        self.engine(bps.mv(*(part for motor in self.motors.values() for part in (motor.acceleration_time, 1e-3))))
        self.engine.subscribe(self.keep)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._taker = self._context.socket(zmq.PULL)
        self._taker.setsockopt(zmq.RCVHWM, 0)
        self._taker.connect(self.endpoint)

    def close(self) -> None:
        self._taker.close(linger=0)
        self._context.term()

    def take(self) -> dict[str, Any]:
        """The next message of the detector."""
        assert self._taker.poll(5000), "nothing was sent"
        told: dict[str, Any] = cbor2.loads(self._taker.recv())
        return told

    def keep(self, name: str, document: dict[str, Any]) -> None:
        schema_validators[DocumentNames[name]].validate(document)
        keep_document(self.path, Document(name, document))

    def detector(self, section: dict[str, Any]) -> tuple[VirtualDetector, Exposures]:
        """One made for the grid of a `scan` section."""
        grid = ScanGrid.from_config(ScanConfig.model_validate({"name": "x", **section}))
        made = Exposures(grid)
        encoder = make_encoder("dectris-2", Series(grid.size, np.zeros(SHAPE, np.uint32), 1.0, (1e-4, 1e-4), 1))
        return VirtualDetector(made, encoder, self.endpoint, self.motors), made  # type: ignore[arg-type]

    def measure(self, plan: Any, section: dict[str, Any], fast: str | None = None, **pauses: set[int]) -> Exposures:
        """Run a plan of this section, `plan(detector, flyer)`; what was exposed, if it is what the documents tell."""
        detector, made = self.detector(section)
        flyer = None if fast is None else VirtualFlyer(detector, fast).with_device("flyer")  # type: ignore[arg-type]
        try:
            drive(self.engine, interrupted(plan(detector, flyer), pauses))
        finally:
            detector.close()
        self.check(section, made)
        return made

    def check(self, section: dict[str, Any], made: Exposures) -> None:
        """Each exposure is where its documents say, and each point of the grid has one that counts."""
        order = section.get("order", ("slice", "angle", "position"))
        told = Documents(KeptDocuments(self.path), made.grid, tuple(order))
        list(told.news(0.0))
        assert told.outcome == ("success", "")
        points = {n: made.grid.locate(n, where) for n in range(len(made.seen)) if (where := told.where(n))}
        assert points == {n: made.grid.visit[made.seen[n]] for n in points}
        assert sorted(points.values()) == list(range(made.grid.size))
