"""Spectra into net intensities of elements' lines; arrays in and out."""
