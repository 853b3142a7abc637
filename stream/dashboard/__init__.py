"""The page and the HTTP interface: what is known of the run, as it grows."""

from stream.dashboard.app import create_app, serve_dashboard

__all__ = ["create_app", "serve_dashboard"]
