"""Makes fundamental_parameters.npz: lines, breadths and patterns by xrayutilities, for tests/crystal/test_breadths.py.

Run in the folder of the CIF files with xrayutilities 1.8.0, which is no dependency of ours:
`cd stream/analyse/crystal/cif && python ../../../../tests/data/fundamental_parameters.py OUT.npz`.
Its simpack is NIST's fundamental parameters code (Mendenhall, Mullen and Cline, J. Res. NIST 120, 223, 2015).

What its parameters mean, from FP_profile.conv_emission: widths at half height along 2θ, those of a Lorentzian
λ/(L cosθ) + s tanθ, squares of those of a Gaussian (λ/(G cosθ))² + (s/2 tanθ)², with s in degrees; an emission line
of relative width e broadens by 2e tanθ.
"""

import json
import math
import sys

import numpy as np
from xrayutilities.materials import Crystal
from xrayutilities.materials.atom import Atom
from xrayutilities.simpack import FP_profile, PowderDiffraction

WAVELENGTH = 0.6738  # Å
LOW, HIGH, BINS = 8.0, 40.0, 1000  # degrees of 2θ
OVER = 16  # points of its grid in a bin
PIXEL, GAUSSIAN, LORENTZIAN, EMISSION = 0.02, 0.006, 0.5e-4, 1.2e-4  # degrees, degrees (σ), and relative (FWHM)
SAMPLES = {
    "standard": {},
    "lorentzian": {"crystallite_size_lor": 200e-9, "strain_lor": 0.1},
    "lorentzian, fine and strained": {"crystallite_size_lor": 60e-9, "strain_lor": 0.2},
    "lorentzian, coarse": {"strain_lor": 0.1},
    "gaussian, strained": {"strain_gauss": 0.3},
    "gaussian, fine": {"crystallite_size_gauss": 100e-9},
    "voigt": {"crystallite_size_lor": 200e-9, "crystallite_size_gauss": 150e-9},
}


class Line(FP_profile):
    """A line behind bins, with nothing of a laboratory diffractometer but what it is told."""

    bin = None  # degrees

    def conv_bin(self):
        """The bin, as FP_profile has a detector's slit."""
        return self.general_tophat("conv_bin", self.bin and math.radians(self.bin))


def line(two_theta, centre, step, points, over, sample, binned=True):
    """(points,) a line of unit area (radians of 2θ) on a grid about `centre`; degrees."""
    found = Line("twotheta", gaussian_smoother_bins_sigma=GAUSSIAN * over / step if binned else None, oversampling=over)
    found.set_window(centre, points * step, points)
    wavelength = WAVELENGTH * 1e-10
    found.set_parameters(dominant_wavelength=wavelength, twotheta0_deg=two_theta, diffractometer_radius=1.0)
    widths = [wavelength * width if binned else 0.0 for width in (LORENTZIAN, EMISSION)]
    found.set_parameters(
        "emission",
        emiss_wavelengths=(wavelength,),
        emiss_intensities=(1.0,),
        emiss_lor_widths=(widths[0],),
        emiss_gauss_widths=(widths[1],),
        **sample,
    )
    if binned:
        found.bin = step
        found.set_parameters("receiver_slit", slit_width=math.radians(PIXEL))
    return found.compute_line_profile().peak / math.radians(step) ** 2


def lines(name):
    """(n, 2) 2θ in degrees and intensity with the polarisation removed."""
    found = PowderDiffraction(Crystal.fromCIF(f"{name}.cif"), wl=WAVELENGTH, tt_cutoff=48.0).data.values()
    active = sorted((2 * one["ang"], one["r"]) for one in found if one["active"])
    return np.array([(angle, r / (1 + math.cos(math.radians(angle)) ** 2) * 2) for angle, r in active])


def pattern(found, sample):
    """(BINS,) means over bins; every line lies on the pattern's own grid, so nothing is interpolated."""
    step, half, out = (HIGH - LOW) / BINS, 1250, np.zeros(BINS)
    for angle, intensity in found:
        k = round((angle - LOW) / step - 0.5)
        profile = intensity * line(angle, LOW + (k + 0.5) * step, step, 2 * half, OVER, sample)
        first, last = max(k - half, 0), min(k + half, BINS)
        out[first:last] += profile[first - k + half : last - k + half]
    return out


def breadth(angle, sample):
    """Integral breadth in degrees: area over height of the sample's profile alone.

    No point lies on the line's middle, where the program gives -inf for a Gaussian.
    """
    step = 1e-4
    return math.degrees(1 / line(angle, angle + step / 2, step, 40_000, 4, sample, binned=False).max())


def main():
    tables = {name: lines(name) for name in ("ceo2", "nmc622", "lnmo-spinel")}
    out = {f"lines {name}": table for name, table in tables.items()}
    for name, sample in SAMPLES.items():
        out[f"ceo2 {name}"] = pattern(tables["ceo2"], sample).astype(np.float32)
        if sample:
            out[f"breadths {name}"] = np.array([breadth(angle, sample) for angle in tables["ceo2"][:, 0]])
    out["nmc622 lorentzian"] = pattern(tables["nmc622"], SAMPLES["lorentzian"]).astype(np.float32)
    Atom.f = lambda self, q, en="config": self.f0(q)  # no anomalous part
    out |= {f"lines {name}, f0": lines(name) for name in tables}
    told = {"wavelength": WAVELENGTH, "low": LOW, "high": HIGH, "bins": BINS, "pixel": PIXEL, "gaussian": GAUSSIAN}
    told |= {"lorentzian": LORENTZIAN, "emission": EMISSION, "samples": SAMPLES}
    np.savez_compressed(sys.argv[1], told=json.dumps(told), **out)


if __name__ == "__main__":
    main()
