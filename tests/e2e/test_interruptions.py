"""Ctrl-C and kill -9 in the middle of a scan: the same command goes on, and ends with the same numbers."""

from __future__ import annotations

import os
import signal

import httpx
import pytest
from helpers.chain import Begin, PlainRun, Sender, Site, Stream, alive, assert_identical, results, until

from stream.core.files import read_json, write_json
from stream.core.rundir import RunDirectory

CHILDREN = ("ingest", "analyse", "publish", "tiled")


def reaches(site: Site, frames: int) -> None:
    until(lambda: site.integrated() >= frames, f"frame {frames}")


def readiness(site: Site) -> int:
    """What `/readyz` answers, 0 while nobody does."""
    try:
        return httpx.get(f"http://127.0.0.1:{site.page}/readyz", trust_env=False).status_code
    except httpx.TransportError:
        return 0


def count(site: Site, name: str) -> float:
    """How many durations of that name were counted."""
    text = httpx.get(f"http://127.0.0.1:{site.page}/metrics", trust_env=False).text
    lines = [line for line in text.splitlines() if line.startswith(f"braggstream_{name}_seconds_count")]
    return float(lines[0].split()[-1]) if lines else 0.0


def again_where_lost(stream: Stream) -> list[list[bytes]]:
    """The series once more: what sat in a socket when its process was killed is gone, the rest are duplicates."""
    return [*stream.images, stream.end]


def test_ctrl_c_ends_with_exit_3_and_the_same_command_goes_on(
    site: Site, stream: Stream, plain_run: PlainRun, begin: Begin
) -> None:
    first = begin(stream.whole[:60], 59)  # all that was sent: what is still in the socket of a stopped run is lost
    children = first.children()
    assert set(children) == set(CHILDREN)
    assert first.interrupt() < 5
    assert first.process.returncode == 3
    assert first.err == f"braggstream: the scan in {site.folder}/run is not complete: 85 of 144 frames are missing"
    assert not any(alive(pid) for pid in children.values())
    assert site.integrated() == 59
    second = begin(stream.whole[60:], 59)
    assert second.wait() == 0, second.err
    assert "note: ingest started again with 59 of 144 frames" in second.out
    assert "144 of 144 frames integrated, 0 missing, 0 duplicate" in second.out
    assert_identical(plain_run.arrays, results(site.folder / "run"))


def test_no_child_outlives_a_killed_supervisor_and_the_same_command_resumes(
    site: Site, stream: Stream, plain_run: PlainRun, sender: Sender, begin: Begin
) -> None:
    first = begin(stream.whole[:120], 40)
    children = first.children()
    assert set(children) == set(CHILDREN)
    first.process.kill()
    until(lambda: not any(alive(pid) for pid in children.values()), "the end of all children", 3)
    second = begin(stream.whole[120:-1], 40)
    until(site.on_page, "a map on the page")
    until(site.in_tiled, "a map in Tiled")
    sender.send(again_where_lost(stream))
    assert second.wait() == 0, second.err
    assert "0 missing" in second.out.splitlines()[-1]
    assert_identical(plain_run.arrays, results(site.folder / "run"))


def test_killed_children_are_started_again(
    site: Site, stream: Stream, plain_run: PlainRun, sender: Sender, begin: Begin
) -> None:
    command = begin(stream.whole[:20], 19)
    for n, name in enumerate(CHILDREN):
        reaches(site, 19 + 20 * n)
        pid = command.children()[name]
        os.kill(pid, signal.SIGKILL)
        until(lambda n=name, p=pid: command.children().get(n, p) != p, f"a new {name}")
        if name in {"ingest", "analyse"}:  # the page lives and tells
            assert readiness(site) == 503, name
        first = 20 + 20 * n
        sender.send([*stream.whole[first : first + 20], *stream.images[: first + 19]])
        until(lambda: readiness(site) == 200, f"a processor that is ready after {name} died")
    metrics = httpx.get(f"http://127.0.0.1:{site.page}/metrics", trust_env=False).text
    for name in CHILDREN:
        assert f'braggstream_process_restarts_total{{process="{name}"}} 1.0' in metrics
    until(lambda: all(count(site, name) for name in ("journal", "map", "update")), "durations of frames and updates")
    sender.send([*stream.whole[100:-1], *again_where_lost(stream)])
    assert command.wait() == 0, command.err
    assert "0 missing" in command.out.splitlines()[-1]
    assert_identical(plain_run.arrays, results(site.folder / "run"))


@pytest.mark.slow
def test_an_incomplete_run_is_reopened_by_the_same_command(site: Site, stream: Stream, plain_run: PlainRun) -> None:
    with Sender(site.endpoint) as sender:
        sender.send([stream.start, *stream.images[:100], stream.end])
        first = site.run()
        assert first.wait() == 3, first.err
        assert "incomplete: 100 of 144 frames integrated, 44 missing" in first.out
        second = site.run()
        sender.send([stream.start, *stream.images[100:], stream.end])
        assert second.wait() == 0, second.err
    assert_identical(plain_run.arrays, results(site.folder / "run"))


@pytest.mark.slow
def test_killed_before_the_final_maps_are_in_tiled_the_same_command_brings_them_there(
    site: Site, stream: Stream, plain_run: PlainRun
) -> None:
    directory = RunDirectory(site.folder / "run")
    with Sender(site.endpoint) as sender:
        sender.send(stream.whole)
        assert site.run().wait() == 0
    published = read_json(directory.published)
    assert published
    write_json(directory.published, {**published, "final": False, "revision": published["revision"] - 1})
    command = site.run()
    assert command.wait() == 0, command.err
    again = read_json(directory.published)
    assert (again["final"], again["revision"]) == (True, published["revision"])
    assert_identical(plain_run.arrays, results(directory.path))
