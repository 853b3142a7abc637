"""The same scan through other protocols, series and joins ends with the same bits: two commands, real sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
import pytest
from helpers.chain import Command, Site, assert_identical, results, tiny_site
from helpers.ports import free_port

KINDS: dict[str, dict[str, Any]] = {
    "stins, a series for each line, counting from one": {
        "scan": {"series": "line"},
        "detector": {"format": "stins", "first_frame": 1},
    },
    "positions and incident intensity from an encoder stream": {
        "scan": {"index": "pcap"},
        "detector": {"format": "dectris-2", "monitor": None},
        "monitors": [{"format": "maxiv-pcap", "key": "i0"}],
    },
    "published to a socket that binds, places in the appendix": {
        "scan": {"index": "appendix"},
        "detector": {"socket": "sub", "bind": True},
    },
}


def perform(site: Site, faults: str = "", **changes: Any) -> tuple[int, Command]:
    """Run and simulate with the same config; returns exit code and the run's command."""
    config = site.write(**changes)
    command = site.command("run", config, "--output", "run", "--once")
    sender = site.command("simulate", "--config", config, "--faults", faults, "--seed", "3", "--rate", "100")
    try:
        return command.wait(), command
    finally:
        sender.end()
        command.end()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, npt.NDArray[Any]]:
    """DECTRIS V1, one series, in order."""
    site = tiny_site(tmp_path_factory.mktemp("kinds"))
    code, command = perform(site)
    assert code == 0, command.err
    return results(site.folder / "run")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_of_stream_changes_no_bit(site: Site, plain: dict[str, npt.NDArray[Any]], kind: str) -> None:
    changes = dict(KINDS[kind])
    if "monitors" in changes:
        changes["monitors"] = [
            stream | {"endpoint": f"tcp://127.0.0.1:{free_port()}"} for stream in changes["monitors"]
        ]
    code, command = perform(site, **changes)
    assert code == 0, command.err
    assert_identical(plain, results(site.folder / "run"))


@pytest.mark.slow
def test_a_second_receiver_is_named_at_the_end(site: Site) -> None:
    code, command = perform(site, "steal", detector={"idle_timeout": 3.0})
    assert code == 3
    assert "are missing" in command.err
    assert "only every 2nd frame arrives: another receiver is connected to" in command.err


@pytest.mark.slow
def test_a_scan_with_every_fault_says_what_happened(site: Site, tmp_path: Path) -> None:
    faults = "drop:0.05,duplicate:0.1,truncate:0.05,shuffle:8,delay:0.05,restart:0.5"
    code, command = perform(site, faults, detector={"idle_timeout": 3.0})
    assert code == 3
    counts = command.out.rsplit("incomplete:", 1)[1]
    assert "missing" in counts
    assert "rejected" in counts
    assert "Traceback" not in command.err + command.out
    assert tmp_path == site.folder
