"""One frame's damage is no other's: what became of each is told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stream.core.errors import MessageError
from stream.core.messages import EncodedArray, Pattern


def outcome(integrate: Callable[[EncodedArray], Pattern], array: EncodedArray) -> Pattern | MessageError:
    """The pattern, or why there is none."""
    try:
        return integrate(array)
    except MessageError as error:
        return error


def outcomes(
    integrate: Callable[[EncodedArray], Pattern], arrays: Sequence[EncodedArray]
) -> list[Pattern | MessageError]:
    """The same of several, one after the other."""
    return [outcome(integrate, array) for array in arrays]
