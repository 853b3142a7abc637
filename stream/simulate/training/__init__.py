"""Classifiers made from simulated scans, reconstructed as a measured one would be."""
