"""SOAK_KILLS (200) seeded `kill -9` of any process of a run, during scans whose frames come doubled and out of order.

Every scan ends with the arrays of one without incidents. `make soak`; SOAK_SEED chooses other moments.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from helpers.chain import Command, Message, PlainRun, Sender, Site, Stream, alive, assert_identical, results, until

KILLS = int(os.environ.get("SOAK_KILLS", "200"))
SEED = int(os.environ.get("SOAK_SEED", "0"))
VICTIMS = ("ingest", "analyse", "publish", "tiled", "supervisor")
A_SCAN = 8  # kills of one scan; the last may come while the final maps are made
HELD_BACK = 40  # frames that come when the scan may end
PAGE, TILED = 5.0, 10.0  # s from a restart to the first map there


@dataclass
class Kills:
    """Kills processes of a run, and measures how long its maps are away."""

    site: Site
    commands: list[Command]
    dice: random.Random
    done: int = 0
    page: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    tiled: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def command(self) -> Command:
        """The run that goes on."""
        return self.commands[-1]

    @property
    def ended(self) -> bool:
        """True when the run is over."""
        return self.command.process.poll() is not None

    def kill(self, victim: str) -> bool:
        """Kill it, and wait until it is started again; False when it no longer runs."""
        children = self.command.children()
        pid = self.command.process.pid if victim == "supervisor" else children.get(victim)
        if pid is None or self.ended:
            return False
        os.kill(pid, signal.SIGKILL)
        self.done += 1
        if victim == "supervisor":
            self.command.process.wait()
            until(lambda: not any(map(alive, children.values())), "the end of all children")
            self.commands.append(self.site.run())
        else:
            until(lambda: self.ended or self.command.children().get(victim, pid) != pid, f"a new {victim}")
        return True

    def measure(self, victim: str) -> None:
        """Wait until the maps are back on the page and in Tiled, and note how long it took from the restart."""
        begun = time.monotonic()
        until(self.site.on_page, f"a map on the page after {victim}")
        self.page[victim].append(time.monotonic() - begun)
        until(self.site.in_tiled, f"a map in Tiled after {victim}")
        self.tiled[victim].append(time.monotonic() - begun)

    def __str__(self) -> str:
        lines = [f"{self.done} kills, seed {SEED}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"]
        lines += [
            f"  {victim}: {len(page)} measured; a map on the page after {sum(page) / len(page):.1f} s, at most "
            f"{max(page):.1f}; in Tiled after {sum(tiled) / len(tiled):.1f} s, at most {max(tiled):.1f}"
            for victim, page, tiled in ((name, self.page[name], self.tiled[name]) for name in self.page)
        ]
        return "\n".join(lines)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_every_scan_ends_with_the_same_bits(
    site: Site, stream: Stream, plain_run: PlainRun, commands: list[Command]
) -> None:
    dice, scans = random.Random(SEED), 0
    kills = Kills(site, commands, dice)
    while kills.done < KILLS:
        with Sender(site.endpoint, rate=60) as sender:
            first, rest = disordered(stream, dice)
            sender.send(first)
            commands.append(site.run())
            until(site.in_tiled, "a map in Tiled")
            for _ in range(min(A_SCAN, KILLS - kills.done) - 1):
                time.sleep(dice.uniform(0, 2))
                victim = dice.choice(VICTIMS)
                if kills.kill(victim):
                    kills.measure(victim)
                sender.send(dice.sample(first[1:], 20))
            sender.send([*rest, *stream.images, stream.end])
            time.sleep(dice.uniform(0, 8))
            if kills.kill(dice.choice(VICTIMS[:-1])):
                sender.send([*stream.images, stream.end])
            assert kills.command.wait(300) == 0, f"scan {scans}, seed {SEED}: {kills.command.err}"
        assert_identical(plain_run.arrays, results(site.folder / "run"))
        frames = site.frames()
        fates = frames["integrated"] + frames["duplicate"]
        assert (frames["missing"], frames["rejected"], frames["dropped"]) == (0, {}, {})
        assert frames["received"] == fates + frames["in_flight"]
        shutil.rmtree(site.folder / "run")
        scans += 1
        print(f"{scans} scans, all with the same final arrays;", kills, flush=True)
    for victim in kills.page:
        assert max(kills.page[victim]) < PAGE, victim
        assert max(kills.tiled[victim]) < TILED, victim


def disordered(stream: Stream, dice: random.Random) -> tuple[list[Message], list[Message]]:
    """The start and most of the images, a third of them doubled, in any order; the images that are held back."""
    images = dice.sample(stream.images, len(stream.images))
    first, rest = images[HELD_BACK:], images[:HELD_BACK]
    doubled = [*first, *dice.sample(first, len(first) // 3)]
    dice.shuffle(doubled)
    return [stream.start, *doubled], rest
