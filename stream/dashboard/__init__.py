"""The page and the HTTP interface: what is known of the run, as it grows."""

from stream.dashboard.app import create_app, create_server

__all__ = ["create_app", "create_server"]
