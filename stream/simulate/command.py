"""`braggstream simulate`: a virtual beamline by itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.core.config import Config, FluorescenceConfig, MonitorStream, load_config
from stream.core.errors import UsageError
from stream.core.keys import curve_key as read_curve_key
from stream.core.scan import ScanGrid
from stream.ingest.integrate.geometry import load_geometry
from stream.simulate.arming import SeriesPlan
from stream.simulate.beamline import Beamline, Progress
from stream.simulate.calibrant import calibrant_image, write_image
from stream.simulate.defaults import ENDPOINT, POLARIZATION, default_config, default_integrator
from stream.simulate.detector import Detector
from stream.simulate.faults import Faults
from stream.simulate.fluorescence import VirtualSpectra
from stream.simulate.presets import find_preset
from stream.simulate.scan import DOSE, VirtualScan
from stream.simulate.spectra_outlet import SpectraOutlet
from stream.simulate.truth import write_truth

PRESET = "ncm622-cycled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a beamline is built from: the scan, the detector's place, the beam; what is sent, how, and where."""

    grid: ScanGrid
    integrator: AzimuthalIntegrator
    polarization: float
    center: float
    endpoint: str
    format: str
    plan: SeriesPlan
    monitors: Sequence[MonitorStream] = ()
    attach_reading: bool = True
    transmission: str | None = None
    publish: bool = False
    connect: bool = False
    fluorescence: FluorescenceConfig | None = None
    curve: bool = False

    @classmethod
    def from_config(cls, path: Path) -> Setup:
        """The beamline that a run's config expects.

        The beam is polarised also where the run does not correct for it.
        """
        config = load_config(path, calibrated=False)
        polarization = config.integration.polarization
        wire = config.detector.format
        return cls(
            grid=ScanGrid.from_config(config.scan),
            integrator=load_geometry(config.detector.geometry).integrator,
            polarization=POLARIZATION if polarization is None else polarization,
            center=axis_of(config),
            endpoint=config.detector.endpoint,
            format="dectris-1" if wire == "auto" else wire,
            plan=SeriesPlan.from_config(config),
            monitors=config.monitors,
            attach_reading=config.detector.monitor is not None or all(s.key is None for s in config.monitors),
            transmission=config.detector.transmission,
            publish=config.detector.socket == "sub",
            connect=config.detector.bind,
            fluorescence=config.fluorescence,
            curve=config.detector.curve is not None,
        )

    @classmethod
    def from_preset(cls, preset: str) -> Setup:
        """The demonstration's beamline."""
        scan = Config.model_validate(default_config(preset)).scan
        return cls(
            grid=ScanGrid.from_config(scan),
            integrator=default_integrator(),
            polarization=POLARIZATION,
            center=0.0,
            endpoint=ENDPOINT,
            format="dectris-1",
            plan=SeriesPlan(),
        )


def simulate(
    *,
    preset: str = PRESET,
    config: Path | None = None,
    endpoint: str | None = None,
    format: str | None = None,
    rate: float | None = None,
    faults: str = "",
    seed: int = 0,
    dose: float = DOSE,
    absorption: bool = False,
    parallax: bool = False,
    truth: Path | None = None,
    calibrant: str | None = None,
    image: Path | None = None,
    fluorescence: str | None = None,
    curve_key: str | None = None,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> int:
    """Publish a simulated scan once, or write a line standard's frame.

    Parameters
    ----------
    preset
        The sample; it is scaled to the field of view.
    config
        A run's config: scan grid (a raster's is of a thin sample), series, geometry, polarisation, monitors and (unless
        given here) endpoint and format are its own. Without it, the demonstration's.
    rate
        Frames per second; None or 0 is as fast as they are taken.
    faults
        As `Faults.parse` reads it.
    seed
        The same seed gives the same bytes.
    dose
        Mean counts per pixel and frame.
    absorption
        Whether the sample absorbs; the config's detector.transmission is attached either way.
    parallax
        Whether each part of the sample sees the detector from where it is.
    truth
        Where the ground truth goes (HDF5), before the first frame is sent.
    calibrant, image
        A line standard and the file for its frame; nothing is sent then.
    fluorescence
        Where spectra go, in the place of the config's own endpoint for them; without either there are none.
    curve_key
        Where the beamline's own secret key is, ``env:NAME`` or ``file:PATH``: all sockets then speak CURVE.
    stop
        Ends the scan early; in the main thread SIGTERM and SIGINT set it, too.

    Returns
    -------
    int
        Image messages sent.

    Raises
    ------
    UsageError
        for an unknown preset, format, fault or line standard; ConfigError for the config.
    UnavailableError
        where the endpoint cannot be bound.
    """
    sample, wrong = find_preset(preset), Faults.parse(faults)
    setup = Setup.from_preset(preset) if config is None else Setup.from_config(config)
    if (calibrant is None) != (image is None):
        raise UsageError("--calibrant and --image go together: the line standard and the file for its frame")
    if calibrant is not None and image is not None:
        write_image(calibrant_image(Detector(setup.integrator, setup.polarization, seed), calibrant, seed), image)
        return 0
    if setup.curve and curve_key is None:
        raise UsageError("detector.curve is set: the beamline needs its own secret key, --curve-key")
    secret = None if curve_key is None else read_curve_key(curve_key, "--curve-key", "secret")
    scan = VirtualScan(
        setup.grid,
        setup.integrator,
        sample,
        seed=seed,
        dose=dose,
        polarization=setup.polarization,
        center=setup.center,
        dump=wrong.dump,
        absorption=absorption,
        parallax=parallax,
        transmission=setup.transmission,
    )
    spectra = make_spectra(scan, setup.fluorescence, fluorescence)
    if truth is not None:
        write_truth(scan, truth, None if spectra is None else spectra[0])
    beamline = Beamline(
        scan,
        endpoint or setup.endpoint,
        format or setup.format,
        rate,
        wrong,
        plan=setup.plan,
        monitors=setup.monitors,
        attach_reading=setup.attach_reading,
        spectra=spectra,
        publish=setup.publish,
        connect=setup.connect,
        secret=secret,
    )
    with stopped_by_signals(stop or threading.Event()) as event:
        return beamline.run(event, progress)


def make_spectra(
    scan: VirtualScan, section: FluorescenceConfig | None, endpoint: str | None
) -> tuple[VirtualSpectra, SpectraOutlet] | None:
    """The fluorescence of the scan and where it goes; None where neither config nor command line wants it."""
    if section is not None:
        side = 1 if section.side == "positive" else -1
        spectra = VirtualSpectra(scan, offset=section.energy.offset, step=section.energy.step, side=side)
        return spectra, SpectraOutlet.from_config(section, endpoint)
    return None if endpoint is None else (VirtualSpectra(scan), SpectraOutlet(endpoint))


def axis_of(config: Config) -> float:
    """Where the rotation axis is, µm: as the config says, else in the middle of the positions."""
    center = config.reconstruction.center
    positions = config.scan.positions.points()
    return (positions[0] + positions[-1]) / 2 if isinstance(center, str) else center


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[threading.Event]:
    """Let SIGTERM and SIGINT set `stop`; outside the main thread, where handlers cannot be set, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
