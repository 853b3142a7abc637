"""``python -m stream.bluesky HOST:PORT URL``: documents of a Bluesky 0MQ proxy to the processor, from beside the plan.

The publisher must serialise with JSON, ``Publisher(address, serializer=stream.bluesky.as_json)``, or plain msgpack.
What is pickled, as by default, is passed over with a line on standard output: nothing is ever unpickled.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

import orjson
import typer

from stream.bluesky.forwarder import Forwarder


def consume(
    proxy: Annotated[str, typer.Argument(help="HOST:PORT of the 0MQ proxy's outgoing side.")],
    url: Annotated[str, typer.Argument(help="The processor's bluesky.endpoint, or its page's http:// address.")],
    prefix: Annotated[str, typer.Option(help="Of the publisher's messages.")] = "",
    serializer: Annotated[Literal["json", "msgpack"], typer.Option(help="Of the publisher.")] = "json",
    server_key: Annotated[
        str | None, typer.Option(help="CURVE: the processor's public key, env:NAME or file:PATH.")
    ] = None,
    secret_key: Annotated[str | None, typer.Option(help="CURVE: our secret key, the same.")] = None,
) -> None:
    """Forward documents until interrupted; the key of the page is taken from BRAGGSTREAM_KEY."""
    import msgpack
    from bluesky.callbacks.zmq import RemoteDispatcher

    deserializer = {"json": orjson.loads, "msgpack": msgpack.unpackb}[serializer]
    dispatcher: Any = RemoteDispatcher(proxy, prefix=prefix.encode(), deserializer=deserializer)
    curve = (server_key, secret_key) if server_key and secret_key else None
    forwarder = Forwarder(url, os.environ.get("BRAGGSTREAM_KEY"), curve)
    dispatcher.subscribe(forwarder)
    try:
        dispatcher.start()
    except KeyboardInterrupt:
        pass
    finally:
        forwarder.close()


if __name__ == "__main__":
    typer.run(consume)
