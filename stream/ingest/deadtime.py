"""Dead time of a fluorescence detector, as an Xspress3 tells it in the header of a message.

``dtc`` is the factor by which the counts of an element are to be multiplied. Where it is not told it follows from the
scalers: total / (total − events·(width + 1) − reset), all in clock ticks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.core.errors import MessageError, Reject

FACTOR = "dtc"
SCALERS = ("TotalTicks", "AllEvents", "event_widths", "ResetTicks")


def dead_time_factors(header: Any, elements: int) -> npt.NDArray[np.float64] | None:
    """Factor of each element, (elements,), at least 1; None where the header tells nothing of dead time.

    Raises
    ------
    MessageError
        ``not-decodable`` where it tells nonsense: another number of elements, a detector that was dead throughout.
    """
    told = header if isinstance(header, Mapping) else {}
    if FACTOR in told:
        factors = _per_element(told, FACTOR, elements)
    elif all(name in told for name in SCALERS):
        total, events, widths, reset = (_per_element(told, name, elements) for name in SCALERS)
        live = total - events * (widths + 1) - reset
        factors = np.divide(total, live, out=np.full(elements, np.inf), where=live > 0)
    else:
        return None
    if not (np.isfinite(factors) & (factors >= 1)).all():
        raise MessageError(Reject.NOT_DECODABLE, f"the dead-time factors are {factors.tolist()}, not 1 and more")
    return factors


def _per_element(told: Mapping[str, Any], name: str, elements: int) -> npt.NDArray[np.float64]:
    try:
        values = np.array(told[name], dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (elements,):
        raise MessageError(
            Reject.NOT_DECODABLE, f"{name} is {told[name]!r}, not a number for each of {elements} elements"
        )
    return values
