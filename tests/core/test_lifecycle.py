"""The run's lifecycle, row by row; what is not in the table is a named error."""

from __future__ import annotations

from itertools import product

import pytest

from stream.core.errors import LifecycleError
from stream.core.lifecycle import CLOSED, FINAL, Happening, Status, advance

TABLE = {
    #                frame        ended        stored-full  stored-partial aborted    failure
    "waiting":    ("acquiring", "finishing", None,        None,          "aborted", "failed"),
    "acquiring":  ("acquiring", "finishing", None,        None,          "aborted", "failed"),
    "finishing":  ("acquiring", "finishing", "complete",  "incomplete",  "aborted", "failed"),
    "complete":   (None,        None,        None,        None,          None,      None),
    "incomplete": ("acquiring", None,        None,        None,          "aborted", "failed"),
    "aborted":    (None,        None,        None,        None,          None,      None),
    "failed":     ("acquiring", None,        None,        None,          "aborted", "failed"),
}  # fmt: skip


def test_the_words_are_those_of_the_interface() -> None:
    assert [str(status) for status in Status] == list(TABLE)
    assert {status for status in Status if status.final} == FINAL == set(list(Status)[3:])
    assert {Status.COMPLETE, Status.ABORTED} == CLOSED


@pytest.mark.parametrize(("status", "happening"), list(product(Status, Happening)))
def test_every_row(status: Status, happening: Happening) -> None:
    expected = TABLE[status][list(Happening).index(happening)]
    if expected is None:
        with pytest.raises(LifecycleError, match=f"{status} cannot take the event {happening}"):
            advance(status, happening)
    else:
        assert advance(status, happening) == expected
