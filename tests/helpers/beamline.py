"""A Bluesky beamline without EPICS: a RunEngine, simulated motors, the virtual detector, and a processor's site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bluesky import RunEngine
from bluesky.preprocessors import plan_mutator
from bluesky.utils import Msg, RunEngineInterrupted
from helpers.chain import Site, tiny_site
from helpers.ports import free_port
from ophyd_async.sim import SimMotor

from stream.bluesky import Forwarder
from stream.bluesky.plans import xrdct_scan
from stream.bluesky.processor import Processor
from stream.bluesky.virtual import VirtualDetector
from stream.core.config import load_config
from stream.core.scan import ScanGrid
from stream.ingest.integrate import load_geometry
from stream.ingest.ledger_reader import LedgerReader
from stream.simulate.presets import find_preset
from stream.simulate.scan import VirtualScan
from stream.simulate.wire import Series, make_encoder

ANGLES = {"start": 0.0, "step": 22.5, "count": 8}
POSITIONS = {"start": -5.0, "step": 2.0, "count": 6}
KEYS = {"frame": "detector-frame", "monitor": "detector-i0"}


@dataclass
class Beamline:
    """A RunEngine, its motors and detector, and the site of the processor that follows it."""

    engine: RunEngine
    site: Site
    angle: SimMotor
    position: SimMotor
    detector: VirtualDetector
    virtual: VirtualScan

    def scan(self, **changes: Any) -> Any:
        """A plan of the whole grid."""
        md = {"sample": {"name": "LNMO"}, "proposal": 7}
        arguments = {"angles": ANGLES, "positions": POSITIONS, "processor": self.processor, "md": md, **KEYS, **changes}
        return xrdct_scan([self.detector], self.angle, self.position, **arguments)

    @property
    def processor(self) -> Processor:
        """The processor as a device."""
        return Processor(f"http://127.0.0.1:{self.site.page}")

    def counts(self, directory: Path) -> dict[str, Any]:
        """What became of the frames."""
        return self._snapshot(directory).frames

    def state(self, directory: Path) -> dict[str, Any]:
        """What else the ledger tells."""
        return self._snapshot(directory).state

    def _snapshot(self, directory: Path) -> Any:
        reader = LedgerReader(directory / "ledger.sqlite", self.virtual.grid)
        try:
            return reader.snapshot()
        finally:
            reader.close()


@contextmanager
def make_beamline(
    folder: Path,
    angles: dict[str, Any] = ANGLES,
    positions: dict[str, Any] = POSITIONS,
    preset: str = "ncm622-cycled",
    seed: int = 5,
    **config: Any,
) -> Iterator[Beamline]:
    """A beamline whose processor has its config in `folder`, with changes; the plan tells the grid."""
    site = tiny_site(folder, **{"bluesky": {"endpoint": f"tcp://127.0.0.1:{free_port()}"}, **config})
    scan = {"name": "tiny", "index": "bluesky"}
    site.config = {**site.config, "scan": {**scan, "angles": angles, "positions": positions}}
    site.config["detector"].pop("monitor")
    site.write()
    loaded = load_config(site.path)
    site.config["scan"] = scan  # the plan tells the grid
    site.write()
    integrator = load_geometry(loaded.detector.geometry).integrator
    virtual = VirtualScan(ScanGrid.from_config(loaded.scan), integrator, find_preset(preset), seed=seed)
    pixel = (integrator.detector.pixel1, integrator.detector.pixel2)
    series = Series(virtual.grid.size, virtual.detector.pixel_mask, virtual.detector.wavelength, pixel, seed)
    engine = RunEngine(context_managers=[])
    angle, position = SimMotor("rot", units="deg"), SimMotor("x", units="um")
    encoder = make_encoder("dectris-2", series)
    detector = VirtualDetector(virtual, encoder, site.endpoint, {"angle": angle, "position": position})
    forwarder = Forwarder(site.config["bluesky"]["endpoint"])
    engine.subscribe(forwarder)
    try:
        yield Beamline(engine, site, angle, position, detector, virtual)
    finally:
        forwarder.close(0.0)
        detector.close()


def interrupted(plan: Any, after: dict[str, set[int]]) -> Any:
    """The plan with a pause behind the n-th message of some kinds."""
    seen: Counter[str] = Counter()

    def pausing(message: Msg) -> Any:
        seen[message.command] += 1
        if seen[message.command] in after.get(message.command, ()):
            return None, (Msg("pause") for _ in range(1))
        return None, None

    return plan_mutator(plan, pausing)


def drive(engine: RunEngine, plan: Any) -> None:
    """Run a plan, and resume it from each pause."""
    with suppress(RunEngineInterrupted):
        engine(plan)
    while engine.state == "paused":
        with suppress(RunEngineInterrupted):
            engine.resume()
