"""Files that are moved into place: a reader sees the old one or the new one, whole."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.core.errors import StoreError
from stream.core.files import read_json, replace_file, write_json
from stream.core.revision import Revision, read_revision, write_revision


def revision(number: int) -> Revision:
    """Every value of it tells its number."""
    arrays = {
        "radial": np.full(50, number, dtype=np.float64),
        "maps/global": np.full((1, 30, 30), number, dtype=np.float32),
        "maps/class_index": np.full((1, 30, 30), number % 100, dtype=np.int8),
        "maps/class_probability": np.full((1, 5, 30, 30), number, dtype=np.float32),
    }
    return Revision(number=number, metadata={"status": "acquiring", "n": number}, arrays=arrays)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "revision.npz"
    assert read_revision(path) is None
    write_revision(path, revision(3))
    back = read_revision(path)
    assert back is not None
    assert back.number == 3
    assert back.metadata == {"status": "acquiring", "n": 3, "revision": 3}
    assert list(back.maps) == ["global", "class_index"]
    for name, array in revision(3).arrays.items():
        np.testing.assert_array_equal(back.arrays[name], array)
        assert back.arrays[name].dtype == array.dtype


def test_nan_in_the_metadata_is_null(tmp_path: Path) -> None:
    write_revision(tmp_path / "r.npz", Revision(number=1, metadata={"residual": float("nan"), "n": np.float32(2)}))
    back = read_revision(tmp_path / "r.npz")
    assert back is not None
    assert back.metadata == {"residual": None, "n": 2.0, "revision": 1}


def test_no_reader_sees_a_mixture(tmp_path: Path) -> None:
    path, done = tmp_path / "revision.npz", threading.Event()
    write_revision(path, revision(0))

    def write() -> None:
        for number in range(1, 120):
            write_revision(path, revision(number))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while not done.is_set():
        found = read_revision(path)
        assert found is not None
        assert found.metadata["n"] == found.number
        for name, array in found.arrays.items():
            assert (array == (found.number % 100 if name == "maps/class_index" else found.number)).all()
        seen.append(found.number)
    writer.join()
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    assert [file.name for file in tmp_path.iterdir()] == ["revision.npz"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_or_harmless(tmp_path: Path, where: float, bit: int) -> None:
    path = tmp_path / "revision.npz"
    write_revision(path, revision(7))
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    path.write_bytes(data)
    try:
        found = read_revision(path)
    except StoreError:
        return
    assert found is not None
    assert found.metadata == {"status": "acquiring", "n": 7, "revision": 7}
    for name, array in found.arrays.items():
        np.testing.assert_array_equal(array, revision(7).arrays[name])


def test_the_header_of_each_array_is_guarded_too(tmp_path: Path) -> None:
    """It holds dtype and shape; numpy reads no further than these say, and so may not come to the checksum."""
    path = tmp_path / "revision.npz"
    write_revision(path, revision(7))
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        starts = [data.index(b"\x93NUMPY", member.header_offset) for member in archive.infolist()]
    assert len(starts) == 5
    for start in starts:
        for at in range(start, start + 70):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 7]) + data[at + 1 :])
            with pytest.raises(StoreError):
                read_revision(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04K\x01.", b"\x93NUMPY\x01\x00" + b"x" * 200])
def test_a_file_that_is_no_revision(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "revision.npz").write_bytes(content)
    with pytest.raises(StoreError, match=r"revision\.npz cannot be read"):
        read_revision(tmp_path / "revision.npz")


def test_an_archive_without_metadata(tmp_path: Path) -> None:
    np.savez(tmp_path / "revision.npz", a=np.zeros(3))
    with pytest.raises(StoreError, match=r"revision\.npz cannot be read"):
        read_revision(tmp_path / "revision.npz")


def test_no_object_is_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "revision.npz", a=np.array([object()], dtype=object))
    with pytest.raises(StoreError, match="pickle"):
        read_revision(tmp_path / "revision.npz")


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert read_json(path) is None
    write_json(path, {"status": "waiting", "residual": float("nan"), "n": np.int64(3)})
    assert read_json(path) == {"status": "waiting", "residual": None, "n": 3}
    path.write_bytes(b'{"status":')
    with pytest.raises(StoreError, match=r"state\.json"):
        read_json(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_json(path, 1)

    def fail(file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        replace_file(path, fail)
    with pytest.raises(StoreError, match="nowhere"):
        write_json(tmp_path / "nowhere" / "state.json", 1)
    assert read_json(path) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]
