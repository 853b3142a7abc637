"""ZeroMQ's CURVE: a peer is known by its key, and nobody reads or changes what is on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import zmq
from zmq.auth.thread import ThreadAuthenticator

from stream.core.config import BlueskyCurve, Config, Curve, FrameStream, MonitorStream
from stream.core.keys import curve_key

Socket = zmq.Socket[bytes]


def to_server(socket: Socket, server: bytes, secret: bytes) -> None:
    """Let a socket, before it is connected, speak to the holder of a key alone, and prove who it is itself."""
    socket.curve_serverkey = server
    socket.curve_secretkey, socket.curve_publickey = secret, zmq.curve_public(secret)


def as_server(socket: Socket, secret: bytes) -> None:
    """Let a socket, before it is bound, prove who it is; who connects is not looked at here."""
    socket.curve_secretkey = secret
    socket.curve_server = True


def keys_of(curve: Curve, key: str) -> tuple[bytes, bytes]:
    """The peer's public key and our secret one; `key` names the section in an error.

    Raises
    ------
    ConfigError
        where there is none.
    """
    server = curve_key(curve.server_key, f"{key}.server_key", "public")
    return server, curve_key(curve.secret_key, f"{key}.secret_key", "secret")


def read_curve_keys(config: Config) -> None:
    """Read every key of the detectors' and monitors' streams.

    Raises
    ------
    ConfigError
        naming the one that is not there.
    """
    streams: dict[str, FrameStream | MonitorStream | None]
    streams = {"detector": config.detector, "fluorescence": config.fluorescence}
    streams |= {f"monitors.{i}": monitor for i, monitor in enumerate(config.monitors)}
    for key, stream in streams.items():
        if stream is not None and stream.curve is not None:
            keys_of(stream.curve, f"{key}.curve")


@dataclass(frozen=True, slots=True)
class Known:
    """Clients that may send."""

    keys: frozenset[bytes]

    def callback(self, domain: str, key: bytes) -> bool:
        """Asked by pyzmq for each one that connects."""
        return key in self.keys


@contextmanager
def pull_from_known(curve: BlueskyCurve | None) -> Iterator[Socket]:
    """A PULL socket, not bound yet, to which known clients alone can send; anybody can, where there is no CURVE.

    Raises
    ------
    ConfigError
        where a key is not there.
    """
    context: zmq.Context[Socket] = zmq.Context()  # of its own: the keeper's endpoint is one for each context
    with ExitStack() as stack:
        stack.callback(context.destroy, linger=0)
        socket = context.socket(zmq.PULL)
        if curve is not None:
            places = enumerate(curve.client_keys)
            keys = (curve_key(place, f"bluesky.curve.client_keys.{i}", "public") for i, place in places)
            known = Known(frozenset(keys))
            as_server(socket, curve_key(curve.secret_key, "bluesky.curve.secret_key", "secret"))
            keeper = ThreadAuthenticator(context)
            keeper.start()
            stack.callback(keeper.stop)
            keeper.configure_curve_callback("*", known)
        yield socket
