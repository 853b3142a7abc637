"""A counting detector: geometry from a PONI, pixels with a footprint, gaps, dead pixels, Poisson counts."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from pyFAI.detectors import Detector as PixelDetector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.simulate.footprint import pixel_means
from stream.simulate.powder import TwoThetaGrid

Floats = npt.NDArray[np.float64]
GRID_STEP = np.deg2rad(0.001)
MARGIN = np.deg2rad(0.5)  # of 2θ beyond the last pixel
POINT_SPREAD = 0.25  # standard deviation in pixels: charge shared between neighbours
DEAD, NOISY = 3e-4, 1e-4  # shares of pixels
GAP_BIT, DEAD_BIT, NOISY_BIT = 1, 2, 16  # NeXus pixel_mask
ALL_ONES = 65535
LARGEST = 65533


class Detector:
    """Pixels on a geometry.

    Parameters
    ----------
    integrator
        pyFAI's geometry (tilt allowed), with its detector's shape and wavelength.
    polarization
        factor of the beam, as pyFAI means it.
    seed
        places the dead and noisy pixels.

    Attributes
    ----------
    shape
        (rows, columns).
    pixel_mask
        uint32, NeXus bits; 0 where a pixel counts.
    grid
        the 2θ grid on which patterns must be given.
    """

    def __init__(self, integrator: AzimuthalIntegrator, polarization: float, seed: int) -> None:
        shape = tuple(int(n) for n in integrator.detector.shape)
        self.integrator, self.polarization, self.seed = integrator, polarization, seed
        self.shape = (shape[0], shape[1])
        self.wavelength = float(integrator.wavelength) * 1e10
        self.pixel_mask = make_pixel_mask(integrator.detector, self.shape, seed)
        self.valid = self.pixel_mask == 0
        response = integrator.solidAngleArray(shape) * integrator.polarization(shape, polarization)
        self._response = np.where(self.valid, response, 0.0).astype(np.float32)
        self._center = np.asarray(integrator.array_from_unit(shape, "center", "2th_rad"), dtype=np.float64)
        corner = np.asarray(integrator.array_from_unit(shape, "corner", "2th_rad"), dtype=np.float64)[..., 0]
        self._slope = (  # of 2θ per pixel along rows and columns; corners run round the pixel
            (corner[..., 1] + corner[..., 2] - corner[..., 0] - corner[..., 3]) / 2,
            (corner[..., 2] + corner[..., 3] - corner[..., 0] - corner[..., 1]) / 2,
        )
        self.grid = TwoThetaGrid(GRID_STEP, int(np.ceil((self._center.max() + MARGIN) / GRID_STEP)), self.wavelength)

    def seen_from(self, depth: float) -> Detector:
        """The same pixels as a point of the sample `depth` µm downstream of the axis sees them.

        In pyFAI's frame a pixel is at R (d1 − poni1, d2 − poni2, dist), with the beam along the third axis; a source
        that moves by z along it moves the PONI by z R⁻¹ e₃, and dist the other way.
        """
        along = np.linalg.inv(self.integrator.rotation_matrix())[:, 2] * depth * 1e-6
        here = self.integrator
        moved = AzimuthalIntegrator(
            dist=here.dist - along[2],
            poni1=here.poni1 + along[0],
            poni2=here.poni2 + along[1],
            rot1=here.rot1,
            rot2=here.rot2,
            rot3=here.rot3,
            detector=here.detector,
            wavelength=here.wavelength,
        )
        nearer = Detector(moved, self.polarization, self.seed)
        nearer._response *= np.float32((here.dist / moved.dist) ** 2)  # pyFAI's solid angle is relative
        return nearer

    def images(self, patterns: Floats) -> npt.NDArray[np.float32]:
        """Mean response of each pixel to patterns of shape (K, grid.size): (K, rows · columns).

        Solid angle and polarisation are in; masked pixels are 0.
        """
        slopes = self._slope[0].ravel(), self._slope[1].ravel()
        means = pixel_means(patterns, self.grid.step, self._center.ravel(), *slopes, POINT_SPREAD)
        means *= self._response.ravel()
        return means

    def expose(self, images: npt.NDArray[np.float32], amounts: Floats, key: int) -> npt.NDArray[np.uint16]:
        """One frame: Poisson counts of mean Σ amounts · images, shape (rows, columns).

        Masked pixels are all ones. The noise depends on `key` (64 bits) alone.
        """
        frame = np.empty(self.valid.size, dtype=np.uint16)
        active = np.flatnonzero(amounts)
        _expose(images, active, amounts[active].astype(np.float32), self.valid.ravel(), np.uint64(key), frame)
        return frame.reshape(self.shape)


def make_pixel_mask(detector: Any, shape: tuple[int, int], seed: int) -> npt.NDArray[np.uint32]:
    """Gaps (the detector class's own; a plain one is 2 × 2 modules), dead and noisy pixels."""
    mask = np.zeros(shape, dtype=np.uint32)
    if type(detector) is PixelDetector:
        for axis, size in enumerate(shape):
            width = size // 50
            band = slice((size - width) // 2, (size - width) // 2 + width)
            mask[(band, slice(None)) if axis == 0 else (slice(None), band)] = GAP_BIT
    elif detector.mask is not None:
        mask[np.asarray(detector.mask) != 0] = GAP_BIT
    lot = np.random.default_rng([seed, 2]).random(shape)
    mask[(mask == 0) & (lot < DEAD)] = DEAD_BIT
    mask[(mask == 0) & (lot > 1 - NOISY)] = NOISY_BIT
    return mask


@numba.njit(nogil=True, cache=True)
def _uniform(state):  # type: ignore[no-untyped-def]
    """Uniform in [0, 1) from a state of splitmix64 (Steele et al. 2014, OOPSLA)."""
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@numba.njit(nogil=True, cache=True)
def _expose(images, active, amounts, valid, key, frame):  # type: ignore[no-untyped-def]
    """Sums the images in blocks that stay in cache; Poisson by inversion, a large mean in parts of 16."""
    block = 4096
    mean = np.empty(block, dtype=np.float32)
    state = key
    for start in range(0, frame.size, block):
        size = min(block, frame.size - start)
        mean[:] = 0.0
        for n in range(active.size):
            image, amount = images[active[n]], amounts[n]
            for i in range(size):
                mean[i] += amount * image[start + i]
        for i in range(size):
            if not valid[start + i]:
                frame[start + i] = ALL_ONES
                continue
            left = np.float64(mean[i])
            count = 0
            while left > 0.0:
                part = min(left, 16.0)
                left -= part
                state += np.uint64(0x9E3779B97F4A7C15)
                u = _uniform(state)
                probability = np.exp(-part)
                total = probability
                step = 0
                while u > total and probability > 0.0:
                    step += 1
                    probability *= part / step
                    total += probability
                count += step
            frame[start + i] = min(count, LARGEST)
