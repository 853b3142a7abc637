"""Why a voxel has no strain of a phase."""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """OK where there is a strain; else why there is none. Numbers are kept in results: add, never renumber."""

    OK = 0
    NO_SIGNAL = 1  # the phase is not there
    TIED = 2  # too little of it: its widths are the main phase's
    TOO_FEW = 3  # fewer than three usable reflections
    NO_INSTRUMENT = 4
    AT_BOUND = 5  # cell, strain or size rests on a bound
    NOT_FINITE = 6  # the voxel has no pattern
    NOT_CONVERGED = 7
    TRACE = 8  # little of it beside the slice's richest voxels: SIRT's streaks carry lines that far
    POOR_FIT = 9  # the pattern is not that of these phases

    @property
    def sentence(self) -> str:
        """For people."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.OK: "measured",
    Reason.NO_SIGNAL: "the phase is not there",
    Reason.TIED: "too little of the phase for widths of its own",
    Reason.TOO_FEW: "fewer than three usable reflections",
    Reason.NO_INSTRUMENT: "no instrument is calibrated",
    Reason.AT_BOUND: "cell, strain or size at its bound",
    Reason.NOT_FINITE: "no pattern",
    Reason.NOT_CONVERGED: "the fit did not converge",
    Reason.TRACE: "a trace beside the richest voxels",
    Reason.POOR_FIT: "the pattern is not that of these phases",
}
