"""What the numbers of the frames tell: gaps, and whether another receiver takes a share of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

LOOK_AT = 32  # of the newest frame numbers
REGULAR = 0.8  # of the steps between them are equal where a share of the frames goes elsewhere
SHOWN = 5


@dataclass(slots=True)
class Numbers:
    """Follows numbers that grow; `gaps` are those not told yet, both ends inclusive."""

    gaps: list[tuple[int, int]] = field(default_factory=list)
    _highest: int | None = None
    _newest: deque[int] = field(default_factory=lambda: deque(maxlen=LOOK_AT))

    def begin(self) -> None:
        """The numbers start anew."""
        self._highest = None
        self._newest.clear()

    def take(self, frame: int) -> None:
        """A frame came."""
        if self._highest is None or frame > self._highest:
            if self._highest is not None and frame > self._highest + 1:
                self.gaps.append((self._highest + 1, frame - 1))
            self._highest = frame
        self._newest.append(frame)

    def stride(self) -> int | None:
        """The step of the frame numbers, where it is regular and more than one."""
        if len(self._newest) < LOOK_AT:
            return None
        newest = sorted(set(self._newest))
        steps = sorted(b - a for a, b in pairwise(newest))
        if len(steps) < LOOK_AT // 2:
            return None
        usual = steps[len(steps) // 2]
        return usual if usual > 1 and steps.count(usual) >= REGULAR * len(steps) else None

    def tell_gaps(self) -> str | None:
        """A sentence with the gaps since the last one."""
        if not self.gaps:
            return None
        listed = ", ".join(f"{a}–{b}" if b > a else str(a) for a, b in self.gaps[:SHOWN])
        more = f" and {len(self.gaps) - SHOWN} more gaps" if len(self.gaps) > SHOWN else ""
        missing = sum(b - a + 1 for a, b in self.gaps)
        self.gaps.clear()
        return f"{missing} frames did not come: {listed}{more}"
