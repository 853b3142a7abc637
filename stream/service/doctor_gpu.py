"""Every use of a GPU beside the CPU's result for the same frames or rays, and how fast it was here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from pyFAI.detectors import detector_factory
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.analyse.tomography.cuda import with_kernels
from stream.core.config import IntegrationConfig, Method
from stream.core.errors import MessageError, UnavailableError
from stream.core.messages import EncodedArray, Pattern
from stream.ingest.integrate import CpuIntegrator, Geometry
from stream.ingest.integrate.blobs import find_blocks
from stream.ingest.integrate.cuda import Card, CudaIntegrator, CupyCard
from stream.ingest.integrate.cuda.launch import Batch, decode
from stream.ingest.integrate.opencl import OpenclIntegrator
from stream.service.doctor import Finding
from stream.service.doctor_sirt import check_sirt
from stream.simulate.wire import compress

DETECTOR = "Eiger2 4M"
BINS = 1000
DTYPES = ("uint16", "uint32")
DENSITIES = {"sparse": 0.5, "dense": 10.0}  # counts a pixel
FRAMES = 64
THREADS = 8
ROUNDS = 5
CLOSE = 1e-5  # of a pattern's maximum


Opened = TypeVar("Opened")


class Device(Protocol):
    """An integrator that takes frames as they were sent."""

    def encoded(self, array: EncodedArray) -> Pattern:
        """Integrate one."""
        ...


@dataclass(frozen=True, slots=True)
class Trial:
    """One image, the same as it is sent, and the CPU's pattern."""

    name: str
    image: npt.NDArray[Any]
    array: EncodedArray
    expected: Pattern


def examine_gpu() -> Iterator[Finding]:
    """Findings of CUDA and of OpenCL on a GPU.

    Raises
    ------
    UnavailableError
        where there is neither.
    """
    missing: list[str] = []
    cpu = virtual_detector(DETECTOR, BINS)
    card = _opened(CupyCard.open, missing)
    other = _opened(lambda: _on_gpu(OpenclIntegrator.create(cpu)), missing)
    if card is None and other is None:
        raise UnavailableError(f"there is no GPU to check: {'; '.join(missing)}")
    yield from (Finding("gpu", None, sentence) for sentence in missing)
    trials = list(make_trials(cpu))
    if card is not None:
        yield Finding("cuda", True, card.name)
        yield from check_cuda(cpu, card, trials)
        split = virtual_detector(DETECTOR, BINS, "bbox")
        yield from check_patterns("cuda bbox", CudaIntegrator.create(split, card), list(make_trials(split)), CLOSE)
        yield check_sirt(card.cupy, with_kernels(card))
    if other is not None:
        yield Finding("opencl", True, other.device)
        yield from check_patterns("opencl", other, trials, CLOSE)


def check_cuda(cpu: CpuIntegrator, card: Card, trials: list[Trial], frames: int = FRAMES) -> Iterator[Finding]:
    """Pixels and patterns bit for bit, and a damaged frame among good ones."""
    for trial in trials:
        places = find_blocks(trial.array)
        assert places is not None
        with card.stream():
            batch = Batch.of(card, [trial.array], [places])
            pixels, damaged = map(card.get, decode(card, batch))
        same = not damaged.any() and np.array_equal(pixels[0], trial.image.reshape(-1))
        yield Finding(f"cuda decode {trial.name}", same, "the same bits" if same else "NOT the pixels that were sent")
    device = CudaIntegrator.create(cpu, card)
    yield from check_patterns("cuda", device, trials, 0.0, frames)
    yield check_damage(device, trials[0])


def check_patterns(
    path: str, device: Device, trials: list[Trial], tolerance: float, frames: int = FRAMES
) -> Iterator[Finding]:
    """Patterns within `tolerance` of their maximum of the CPU's, and frames a second from compressed bytes on."""
    for trial in trials:
        difference = _difference(device.encoded(trial.array), trial.expected)
        text = f"differs by {difference:.1g} of the maximum" if difference else "the same bits"
        if difference <= tolerance:
            text += f", {_rate(device, trial.array, frames):.0f} frames/s"
        yield Finding(f"{path} integrate {trial.name}", difference <= tolerance, text)


def check_damage(device: Device, trial: Trial) -> Finding:
    """A damaged frame beside good ones, many at a time: it alone is refused."""
    places = find_blocks(trial.array)
    assert places is not None
    blob = bytearray(trial.array.data)
    blob[places[0] + 4 : places[1]] = b"\xff" * int(places[1] - places[0] - 4)
    bad = replace(trial.array, data=bytes(blob))
    with ThreadPoolExecutor(THREADS) as pool:
        work = [pool.submit(device.encoded, bad if n == 1 else trial.array) for n in range(THREADS)]
    refused = isinstance(work[1].exception(), MessageError)
    others = all(_difference(work[n].result(), trial.expected) == 0 for n in range(THREADS) if n != 1)
    sound = refused and others
    return Finding("cuda damaged frame", sound, "refused, the others unharmed" if sound else "NOT refused alone")


def virtual_detector(name: str, bins: int, method: Method = "no") -> CpuIntegrator:
    """A detector of pyFAI's at 0.2 m, its gaps masked."""
    detector = detector_factory(name)
    rows, columns = detector.shape
    pixel = (float(detector.pixel1), float(detector.pixel2))
    poni = {"poni1": 0.52 * rows * pixel[0], "poni2": 0.48 * columns * pixel[1], "rot1": 0.01, "rot2": -0.008}
    integrator = AzimuthalIntegrator(dist=0.2, wavelength=7e-11, detector=detector, **poni)
    geometry = Geometry(integrator, (rows, columns), 0.7, pixel)
    return CpuIntegrator.create(geometry, IntegrationConfig(bins=bins, method=method), geometry.detector_mask())


def make_trials(cpu: CpuIntegrator) -> Iterator[Trial]:
    """Poisson counts of each density and dtype, a few pixels all ones."""
    random = np.random.default_rng(622)
    for density, mean in DENSITIES.items():
        counts = random.poisson(mean, cpu.shape)
        lost = random.random(cpu.shape) < 0.01
        for name in DTYPES:
            dtype = np.dtype(name)
            image = np.where(lost, np.iinfo(dtype).max, counts).astype(dtype)
            array = EncodedArray(
                shape=cpu.shape, dtype=dtype, algorithm="bslz4", element_size=dtype.itemsize, data=compress(image)
            )
            yield Trial(f"{name} {density}", image, array, cpu(image))


def _difference(found: Pattern, expected: Pattern) -> float:
    """The largest difference of any bin, as a share of the maximum; infinite where other bins are empty."""
    if not np.array_equal(found.norms > 0, expected.norms > 0):
        return float("inf")
    pairs = [(getattr(found, name), getattr(expected, name)) for name in ("sums", "norms", "variances")]
    return max(float(np.abs(ours - theirs).max() / theirs.max()) for ours, theirs in pairs)


def _rate(device: Device, array: EncodedArray, frames: int) -> float:
    """Frames a second, many threads asking: the median of some rounds, after one to warm up."""
    seconds = []
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(ROUNDS + 1):
            begun = time.perf_counter()
            list(pool.map(device.encoded, [array] * frames))
            seconds.append(time.perf_counter() - begun)
    return frames / median(seconds[1:])


def _opened(open_: Callable[[], Opened], missing: list[str]) -> Opened | None:
    try:
        return open_()
    except UnavailableError as error:
        missing.append(str(error))
        return None


def _on_gpu(device: OpenclIntegrator) -> OpenclIntegrator:
    from pyopencl import device_type

    if not device.context.devices[0].type & device_type.GPU:
        raise UnavailableError(f"OpenCL's device is no GPU but {device.device}")
    return device
