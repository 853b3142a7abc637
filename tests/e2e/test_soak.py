"""SOAK_MINUTES of scans, each disturbed at random: children killed, messages doubled and reordered. `make soak`."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time

import pytest
from conftest import PlainRun
from helpers.chain import Command, Sender, Site, Stream, assert_identical, results

MINUTES = float(os.environ.get("SOAK_MINUTES", "60"))
SEED = int(os.environ.get("SOAK_SEED", "0"))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_every_scan_ends_with_the_same_bits(
    site: Site, stream: Stream, plain_run: PlainRun, commands: list[Command]
) -> None:
    dice, end, scans = random.Random(SEED), time.monotonic() + 60 * MINUTES, 0
    while time.monotonic() < end or not scans:
        messages = [*stream.whole[:-1], *dice.sample(stream.images, len(stream.images) // 3)]
        middle = messages[1:]
        dice.shuffle(middle)
        with Sender(site.endpoint, rate=60) as sender:
            sender.send([messages[0], *middle])
            command = site.run()
            commands.append(command)
            for _ in range(dice.randint(0, 3)):
                time.sleep(dice.uniform(0.5, 4))
                victims = command.children()
                if victims and command.process.poll() is None:
                    os.kill(dice.choice(sorted(victims.values())), signal.SIGKILL)
            sender.send([*stream.images, stream.end])
            assert command.wait(300) == 0, f"scan {scans}, seed {SEED}: {command.err}"
        assert_identical(plain_run.arrays, results(site.folder / "run"))
        shutil.rmtree(site.folder / "run")
        scans += 1
    print(f"{scans} scans in {MINUTES:g} minutes, all with the same final arrays")
