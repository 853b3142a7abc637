"""A small scan, and the other end of its stream."""

import threading

import h5py
import hdf5plugin
import zmq
from pyFAI.detectors import Detector as PixelDetector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.core.config.scan import ScanConfig
from stream.core.scan import ScanGrid
from stream.core.wire import decode, decompress
from stream.simulate.beamline import Beamline
from stream.simulate.presets import PRESETS
from stream.simulate.scan import VirtualScan

ANY_PORT = "tcp://127.0.0.1:*"
FORMATS = ("dectris-1", "dectris-2", "stins")


def unfilter(blob, shape, dtype, tmp_path):
    """Decode a bslz4 blob with HDF5's own filter."""
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        data = file.create_dataset("x", shape, dtype, chunks=shape, compression=hdf5plugin.Bitshuffle(cname="lz4"))
        data.id.write_direct_chunk((0,) * len(shape), blob)
    with h5py.File(tmp_path / "chunk.h5") as file:
        return file["x"][()]


def make_scan(seed=5, size=64, slices=1):
    """3 angles × 8 positions on size × (size + 2) pixels."""
    config = ScanConfig.model_validate(
        {
            "name": "t",
            "angles": {"start": 0.0, "step": 60.0, "count": 3},
            "positions": {"start": -3.5, "step": 1.0, "count": 8},
            "slices": {"count": slices},
        }
    )
    pixels = PixelDetector(pixel1=6e-4, pixel2=6e-4, max_shape=(size, size + 2))
    geometry = AzimuthalIntegrator(dist=0.1, poni1=0.001, poni2=0.001, detector=pixels, wavelength=0.6738e-10)
    return VirtualScan(ScanGrid.from_config(config), geometry, PRESETS["ncm622-cycled"], seed=seed)


class Receiver:
    """Takes messages until the stream has been silent, or until the last end that is expected."""

    def __init__(self, endpoint):
        self.socket = zmq.Context.instance().socket(zmq.PULL)
        self.socket.setsockopt(zmq.RCVHWM, 4)
        self.socket.connect(endpoint)

    def collect(self, ends=1, timeout=10.0):
        messages = []
        while ends:
            assert self.socket.poll(int(1000 * timeout)), f"silence after {len(messages)} messages"
            messages.append(self.socket.recv_multipart())
            ends -= self.is_end(messages[-1])
        self.socket.close(0)
        return messages

    def collect_until(self, thread):
        """What comes until the sender has ended."""
        messages = []
        while self.socket.poll(50) or thread.is_alive():
            if self.socket.poll(0):
                messages.append(self.socket.recv_multipart())
        self.socket.close(0)
        return messages

    @staticmethod
    def is_end(parts):
        return b"series_end" in parts[0] or parts[0][:40].find(b"cend") > 0


def published(scan, **options):
    """Everything that a beamline sends."""
    return sent_by(Beamline(scan, ANY_PORT, **options))


def sent_by(beamline):
    receiver = Receiver(beamline.endpoint)
    thread = threading.Thread(target=beamline.run)
    thread.start()
    messages = receiver.collect_until(thread)
    thread.join(5)
    assert not thread.is_alive()
    return messages


def events(messages):
    return [decode(parts) for parts in messages]


def pixels_of(event):
    (array,) = event.channels.values()
    return decompress(array)
