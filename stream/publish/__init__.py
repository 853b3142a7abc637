"""Publish: the maps of a run in Tiled."""
