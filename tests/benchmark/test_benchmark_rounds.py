"""Interleaved rounds and their statistics, by a clock that the jobs themselves advance."""

from __future__ import annotations

import numpy as np
import pytest

from stream.benchmark.ingest import PART, windows
from stream.benchmark.integrate import deviation
from stream.benchmark.report import as_dict, spread
from stream.benchmark.rounds import Figure, Job, Row, interleave, ratio


class Machine:
    """Work takes a known time; spells[n] is how many times as long the n-th call takes on a busy machine."""

    def __init__(self, *spells: float) -> None:
        self.now = 0.0
        self.spells = spells
        self.log: list[str] = []

    def clock(self) -> float:
        return self.now

    def job(self, name: str, seconds: float, count: int = 1) -> Job:
        def call() -> None:
            self.now += seconds * (self.spells[len(self.log)] if self.spells else 1)
            self.log.append(name)

        return Job(call, count)


def test_milliseconds_an_item_and_who_is_called_when() -> None:
    machine = Machine()
    jobs = [machine.job("a", 0.25, count=4), machine.job("b", 0.125), machine.job("c", 1.0, count=2)]
    a, b, c = interleave(jobs, 3, 0.0, machine.clock)
    assert (a.values, b.values, c.values) == ((62.5,) * 3, (125.0,) * 3, (500.0,) * 3)
    assert "".join(machine.log) == "aabbcc" + "abc" + "bca" + "cab"


def test_short_jobs_are_called_until_the_floor_is_reached() -> None:
    machine = Machine()
    a, b = interleave([machine.job("a", 0.25), machine.job("b", 2.0)], 2, 1.0, machine.clock)
    assert "".join(machine.log) == "aabb" + "aaaab" + "baaaa"
    assert a.values == (250.0, 250.0)
    assert b.values == (2000.0, 2000.0)


def test_a_busy_spell_leaves_the_ratio_alone() -> None:
    machine = Machine(1, 1, 1, 1, *(1, 1), *(5, 5), *(2, 2))
    ours, theirs = interleave([machine.job("a", 1.0), machine.job("b", 3.0)], 3, 0.0, machine.clock)
    assert ours.values == (1000.0, 5000.0, 2000.0)
    assert ratio(ours, theirs) == Figure((3.0, 3.0, 3.0))


def test_median_and_spread() -> None:
    figure = Figure((1.0, 2.0, 4.0, 100.0, 3.0))
    assert (figure.median, figure.spread) == (3.0, 1.0)
    assert spread(figure) == "33 %"
    assert spread(Figure((3.0,))) == spread(None) == "–"


def test_a_row_of_wrong_results_says_so() -> None:
    row = Row(name="x", unit="ms", deviation=2e-5, bound=1e-5)
    assert not row.right
    assert as_dict(row)["right"] is False
    assert Row(name="x", unit="ms").right


def test_deviation_is_relative_and_sees_nan() -> None:
    theirs = np.array([1.0, 4.0, np.nan])
    assert deviation([np.array([1.0, 4.002, np.nan])], [theirs]) == pytest.approx(5e-4)
    assert deviation([np.array([1.0, 4.0, 0.0])], [theirs]) == np.inf


def test_rate_of_a_burst_that_is_committed_in_lots() -> None:
    times = [np.floor(n / 50) * 0.1 + 7.0 for n in range(4 * PART)]  # 50 frames each 0.1 s
    rates = windows(times)
    assert len(rates.values) == 4
    assert rates.median == pytest.approx(500.0, rel=0.05)
