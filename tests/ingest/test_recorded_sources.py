"""Dumps and the detector's own files, read as streams of messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt
import pytest
from helpers.recordings import read_messages

from stream.core.errors import StoreError
from stream.core.messages import Image, SeriesEnd, SeriesStart
from stream.core.wire import decode, decompress
from stream.ingest.recorded import read_recording, recording_summary


@pytest.mark.parametrize(
    "name", ["dectris_v1/v1_eiger1_1M_basic", "dectris_v2/v2_synth_two_thresholds", "maxiv/dump_xrd", "maxiv/pcap-zmq"]
)
def test_dumps(recordings: Path, name: str) -> None:
    path = recordings / f"{name}.cbors"
    back = list(read_recording(path))
    assert [list(message.parts) for message in back] == read_messages(path)
    assert all(message.received is None for message in back)
    (summary,) = recording_summary(path)
    assert summary.messages == len(back)


def images_of(path: Path) -> dict[int, npt.NDArray[Any]]:
    start, *images, end = [decode(message.parts) for message in read_recording(path)]
    assert isinstance(start, SeriesStart)
    assert isinstance(end, SeriesEnd)
    assert {event.series for event in (start, end)} == {event.series for event in images}
    assert all(isinstance(event, Image) for event in images)
    assert all(event.channels[""].shape == start.shape for event in images)
    return {event.frame: decompress(event.channels[""]) for event in images}


def test_the_chunk_of_a_real_eiger_file_travels_as_it_is(shared_data: Path) -> None:
    path = shared_data / "eiger_h5/hdf5plugin_bitshuffle.h5"
    with h5py.File(path) as file:
        stored = file["entry/data/data"]
        truth = stored[0]
        chunk = stored.id.read_direct_chunk((0, 0, 0))[1]
    message = list(read_recording(path))[1]
    assert message.parts[2] == chunk
    np.testing.assert_array_equal(images_of(path)[0], truth)


def write_master(folder: Path) -> dict[int, npt.NDArray[Any]]:
    """A master with two linked data files of 3 + 2 frames in the facility's layout; frame 1 was never written."""
    random = np.random.default_rng(11)
    frames = random.poisson(2, (5, 20, 30)).astype(np.uint16)
    with h5py.File(folder / "master.h5", "w") as master:
        master["entry/instrument/beam/incident_wavelength"] = 0.71
        master["entry/instrument/detector/x_pixel_size"] = np.float32(75e-6)
        master["entry/instrument/detector/y_pixel_size"] = np.float32(75e-6)
        master["entry/instrument/detector/detectorSpecific/countrate_correction_count_cutoff"] = 9000
        for number, (first, last) in enumerate([(0, 3), (3, 5)], 1):
            with h5py.File(folder / f"data_{number:06d}.h5", "w") as file:
                data = file.create_dataset(
                    "entry/data/data",
                    (last - first, 20, 30),
                    "u2",
                    chunks=(1, 20, 30),
                    compression=hdf5plugin.Bitshuffle(cname="lz4") if number == 1 else hdf5plugin.LZ4(),
                )
                for row, frame in enumerate(range(first, last)):
                    if frame != 1:
                        data[row] = frames[frame]
            master[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(f"data_{number:06d}.h5", "entry/data/data")
    return {frame: frames[frame] for frame in (0, 2, 3, 4)}


def test_a_master_with_linked_files(tmp_path: Path) -> None:
    truth = write_master(tmp_path)
    found = images_of(tmp_path / "master.h5")
    assert found.keys() == truth.keys()
    for frame, image in truth.items():
        np.testing.assert_array_equal(found[frame], image)
    messages = [message.parts for message in read_recording(tmp_path / "master.h5")]
    start = decode(messages[0])
    assert isinstance(start, SeriesStart)
    assert start.wavelength == pytest.approx(0.71)
    assert start.pixel_size == pytest.approx((75e-6, 75e-6))
    assert start.saturation == 9000
    assert b'"bs16-lz4<"' in messages[1][1]
    assert b'"<"' in messages[4][1]
    (summary,) = recording_summary(tmp_path / "master.h5")
    assert (summary.images, summary.shape, summary.dtype) == (4, (4, 20, 30), "uint16")


def test_files_without_usable_frames_are_refused(tmp_path: Path) -> None:
    for name, values in {"flat.h5": np.zeros((3, 4), np.uint16), "float.h5": np.zeros((1, 3, 4))}.items():
        with h5py.File(tmp_path / name, "w") as file:
            file["entry/data/data"] = values
        with pytest.raises(StoreError, match=name):
            list(read_recording(tmp_path / name))
    write_master(tmp_path)
    (tmp_path / "data_000002.h5").unlink()
    with pytest.raises(StoreError, match=r"master\.h5"):
        list(read_recording(tmp_path / "master.h5"))
