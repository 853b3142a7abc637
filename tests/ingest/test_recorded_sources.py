"""Dumps and the detector's own files, read as streams of messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt
import pytest
from helpers.encode import bslz4
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


def filewriter(folder: Path, mask: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
    """Files as DECTRIS' filewriter leaves them: chunks written as they were sent, the last one of five never."""
    frames = np.random.default_rng(5).poisson(2, (5, *mask.shape)).astype(np.uint16)
    with h5py.File(folder / "scan_1_master.h5", "w") as master:
        specific = master.create_group("entry/instrument/detector/detectorSpecific")
        specific["pixel_mask"], specific["countrate_correction_count_cutoff"] = mask, np.uint32(9000)
        for number, rows in enumerate((range(3), range(3, 5)), 1):
            with h5py.File(folder / f"scan_1_data_{number:06d}.h5", "w") as file:
                data = file.create_dataset(
                    "entry/data/data",
                    (len(rows), *mask.shape),
                    "u2",
                    chunks=(1, *mask.shape),
                    compression=hdf5plugin.Bitshuffle(cname="lz4"),
                )
                for row, frame in enumerate(rows):
                    if frame != 4:
                        data.id.write_direct_chunk((row, 0, 0), bslz4(frames[frame]))
            link = h5py.ExternalLink(f"scan_1_data_{number:06d}.h5", "entry/data/data")
            master[f"entry/data/data_{number:06d}"] = link
    return frames


def test_the_stored_mask_comes_with_the_header(tmp_path: Path) -> None:
    mask = (np.random.default_rng(1).random((21, 30)) < 0.1).astype(np.uint32) * 16
    frames = filewriter(tmp_path, mask)
    path = tmp_path / "scan_1_master.h5"
    start, *images, end = [decode(message.parts) for message in read_recording(path, first_frame=40, series=7)]
    assert isinstance(start, SeriesStart)
    assert isinstance(end, SeriesEnd)
    np.testing.assert_array_equal(decompress(start.mask[""]), mask)
    assert (start.shape, start.saturation) == ((21, 30), 9000)
    assert {event.series for event in (start, *images, end)} == {"7"}
    assert [event.frame for event in images if isinstance(event, Image)] == [40, 41, 42, 43]
    for event, frame in zip(images, frames, strict=False):
        assert isinstance(event, Image)
        assert event.channels[""].algorithm == "bslz4"
        np.testing.assert_array_equal(decompress(event.channels[""]), frame)
    assert [m.index for m in read_recording(path, 4)] == [4, 5]


def test_a_real_eiger_chunk_behind_a_master(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "eiger_h5/hdf5plugin_bitshuffle.h5"
    with h5py.File(source) as file, h5py.File(tmp_path / "a_master.h5", "w") as master:
        truth = file["entry/data/data"][0]
        master["entry/data/data_000001"] = h5py.ExternalLink(str(source), "entry/data/data")
        master["entry/instrument/detector/pixel_mask"] = np.uint32(truth == truth.max())
    start = decode(next(iter(read_recording(tmp_path / "a_master.h5"))).parts)
    assert isinstance(start, SeriesStart)
    np.testing.assert_array_equal(decompress(start.mask[""]), truth == truth.max())
    np.testing.assert_array_equal(images_of(tmp_path / "a_master.h5")[0], truth)


@pytest.mark.parametrize("layout", ["entry/instrument/detector/data", "scan/plot/intensity", "measurement/frames"])
def test_frames_where_nexus_puts_them(tmp_path: Path, layout: str) -> None:
    frames = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    entry, *_, signal = layout.split("/")
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        file[layout] = frames
        if entry != "entry":
            file.attrs["default"] = entry
            if layout.count("/") == 2:
                file[entry].attrs["default"] = "plot"
            file[layout].parent.attrs["signal"] = np.bytes_(signal)
    found = images_of(tmp_path / "scan.nxs")
    np.testing.assert_array_equal([found[0], found[1]], frames)


def test_frames_that_hdf5_would_make_up_are_not_read(tmp_path: Path) -> None:
    """A chunk that was never written, and a virtual dataset whose source is gone: HDF5 gives zeros for both."""
    with h5py.File(tmp_path / "tiled.h5", "w") as file:
        data = file.create_dataset("entry/data/data", (3, 4, 6), "u2", chunks=(1, 4, 3))
        data[0], data[2] = 7, 9
    assert {frame: int(image.sum()) for frame, image in images_of(tmp_path / "tiled.h5").items()} == {0: 168, 2: 216}
    layout = h5py.VirtualLayout((3, 4, 6), "u2")
    layout[:] = h5py.VirtualSource("tiled.h5", "entry/data/data", (3, 4, 6))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
    assert int(images_of(tmp_path / "virtual.h5")[2].sum()) == 216
    (tmp_path / "tiled.h5").unlink()
    with pytest.raises(StoreError, match=r"virtual\.h5: its frames lie in tiled\.h5, which is not there"):
        list(read_recording(tmp_path / "virtual.h5"))


def test_a_folder_of_master_files_is_a_series_for_each(tmp_path: Path) -> None:
    """In the order of their numbers, and past what was taken of them before."""
    for number in (2, 10, 1):
        with h5py.File(tmp_path / f"scan_{number}_master.h5", "w") as file:
            file["entry/data/data"] = np.full((2, 3, 4), number, dtype="<u2")
    (tmp_path / "scan_1_data_000001.h5").write_bytes(b"no master")
    events = [decode(message.parts) for message in read_recording(tmp_path, first_frame=1)]
    images = [event for event in events if isinstance(event, Image)]
    told = [(image.number, image.frame, int(decompress(image.channels[""])[0, 0])) for image in images]
    assert told == [(1, 1, 1), (1, 2, 1), (2, 1, 2), (2, 2, 2), (3, 1, 10), (3, 2, 10)]
    assert len(list(read_recording(tmp_path, skip=5))) == len(events) - 5
