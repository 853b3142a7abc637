"""The virtual beamline: a sample, a detector and a scan whose truth is known."""
