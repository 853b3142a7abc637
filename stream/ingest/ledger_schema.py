"""The ledger's tables, and what those of earlier versions lack."""

from __future__ import annotations

import sqlite3

SCHEMA = """
CREATE TABLE IF NOT EXISTS frames (
  id INTEGER PRIMARY KEY AUTOINCREMENT, slot INTEGER NOT NULL UNIQUE, number INTEGER NOT NULL, series TEXT NOT NULL,
  frame INTEGER NOT NULL, monitored INTEGER NOT NULL, monitor REAL, received REAL NOT NULL,
  transmitted INTEGER NOT NULL DEFAULT 0, transmission REAL) STRICT;
CREATE TABLE IF NOT EXISTS counts (kind TEXT, reason TEXT, n INTEGER NOT NULL, PRIMARY KEY (kind, reason)) STRICT;
CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, time REAL NOT NULL, text TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS headers (series TEXT PRIMARY KEY, saturation INTEGER, mask BLOB) STRICT;
CREATE TABLE IF NOT EXISTS readings (
  stream INTEGER, number INTEGER, column TEXT, value REAL, PRIMARY KEY (stream, number, column)) STRICT;
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""
ADDED = ("transmitted INTEGER NOT NULL DEFAULT 0", "transmission REAL")
"""Columns of `frames` that a ledger of an earlier version lacks."""


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables that are not there, and bring those of an earlier version up to date."""
    connection.executescript(SCHEMA)
    if not tells_transmission(connection):
        for column in ADDED:
            connection.execute(f"ALTER TABLE frames ADD COLUMN {column}")


def tells_transmission(connection: sqlite3.Connection) -> bool:
    """False for a ledger that can only be read, of a version that knew no transmission."""
    found = connection.execute("SELECT COUNT(*) FROM pragma_table_info('frames') WHERE name = 'transmission'")
    return bool(found.fetchone()[0])
