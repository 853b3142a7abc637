"""Analyse: journal in, volumes, classes, phases and strain out."""
