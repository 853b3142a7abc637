"""Receive, record, decode, integrate, journal and account for every frame; nothing downstream can slow it."""
