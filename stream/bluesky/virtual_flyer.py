"""A motion controller without hardware: moves one axis through a sweep and triggers the virtual detector on its way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ophyd_async.core import FlyableLogic, FlyMotorInfo

from stream.bluesky.course import Sweep
from stream.bluesky.virtual import VirtualDetector
from stream.core.config.scan import AxisName

POLL = 0.01


@dataclass
class VirtualFlyer(FlyableLogic[Sweep, Sweep]):
    """Flies one of a detector's motors; ``VirtualFlyer(detector, "position").with_device("flyer")`` is the device."""

    detector: VirtualDetector
    axis: AxisName
    _flight: asyncio.Task[None] | None = None

    async def on_prepare(self, value: Sweep) -> Sweep:
        """Go to where the first exposure begins."""
        await self.stop()
        first, last = float(value.points[0]), float(value.points[-1])
        begin, end = first - value.step / 2, last + value.step / 2
        seconds = abs(end - begin) / value.speed
        info = FlyMotorInfo(start_position=begin, end_position=end, time_for_move=seconds)
        await self.detector.motors[self.axis].prepare(info)
        return value

    async def on_kickoff(self, ctx: Sweep) -> Sweep:
        """Move on."""
        self._flight = asyncio.create_task(self._fly(ctx))
        return ctx

    async def on_complete(self, ctx: Sweep) -> None:
        """The sweep is over, or was given up."""
        flight = self._flight
        if flight is not None and not (await asyncio.wait([flight]))[0].pop().cancelled():
            flight.result()  # tells why it failed

    async def stop(self) -> None:
        """Give the sweep up, and move in steps again."""
        motor = self.detector.motors[self.axis]
        if self._flight is not None:
            self._flight.cancel()
            self._flight = None
            await motor.stop(success=True)  # type: ignore[no-untyped-call]
        await motor.velocity.set(0.0)  # a simulated motor without speed is there at once

    async def _fly(self, sweep: Sweep) -> None:
        motor = self.detector.motors[self.axis]
        await motor.kickoff()
        moved = motor.complete()
        for point in sweep.points.tolist():
            while (point - await motor.user_readback.get_value()) * sweep.step > 0:
                await asyncio.sleep(POLL)
                if moved.done:
                    await moved  # tells why it did not get there
            await self.detector.expose({self.axis: point})
        await moved
