"""The classic line against the truth and against the whole-pattern fit."""

import numpy as np
import pytest
from synthetic import AXIS, SEEN, instrument, lines

from stream.analyse.crystal.structure import load_structure
from stream.analyse.crystal.williamson_hall import williamson_hall
from stream.core.errors import FitError

CEO2 = load_structure("ceo2")
POSITIONS = CEO2.reflections(1.4).two_theta(AXIS.wavelength)
NONE = np.zeros(0)


def pattern() -> np.ndarray:
    clean = lines("ceo2", CEO2.cell[:3], 1.2e-3, 80)
    return clean / clean.max() * 1e4 + 20


def test_strain_and_size() -> None:
    clean = pattern()
    found = williamson_hall(AXIS, clean, clean, POSITIONS, NONE, instrument(), SEEN)
    assert found.strain == pytest.approx(1.2e-3, rel=0.05)
    assert found.size == pytest.approx(80, rel=0.1)
    assert len(found.x) >= 4
    np.testing.assert_allclose(found.y, 0.9 * AXIS.wavelength / 800 + 1.2e-3 * found.x, rtol=0.05)


def test_errors_cover() -> None:
    clean = pattern()
    rng = np.random.default_rng(2)
    pulls = []
    for _ in range(20):
        found = williamson_hall(AXIS, rng.poisson(clean).astype(float), clean, POSITIONS, NONE, instrument(), SEEN)
        pulls.append((found.strain - 1.2e-3) / found.strain_error)
    assert 0.4 < np.std(pulls) < 1.5


def test_fewer_than_three_reflections() -> None:
    clean = pattern()
    with pytest.raises(FitError, match="2 of 2 reflections"):
        williamson_hall(AXIS, clean, clean, POSITIONS[:2], NONE, instrument(), SEEN)


def test_a_neighbour_makes_a_line_unusable() -> None:
    clean = pattern()
    with pytest.raises(FitError, match="0 of"):
        williamson_hall(AXIS, clean, clean, POSITIONS, POSITIONS + 5e-4, instrument(), SEEN)
