"""Figures beside their peers', in one run on the same frames, with the same threads and mask."""

from __future__ import annotations

from stream.benchmark.report import as_json, as_table, conditions
from stream.benchmark.rounds import Row
from stream.benchmark.suite import Effort, select
from stream.benchmark.threads import Threads

__all__ = ["Effort", "Row", "Threads", "as_json", "as_table", "conditions", "select"]
