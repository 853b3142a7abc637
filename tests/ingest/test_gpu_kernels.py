"""The CUDA kernels on a CPU, under the sanitizers: the same bits as the CPU's integrator and as HDF5's filter."""

from __future__ import annotations

import shutil
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import lz4.block
import numpy as np
import numpy.typing as npt
import pytest
from helpers.cuda_shim import ShimCard, compile_shim
from helpers.device_frames import DTYPES, LZ4_BLOCKS, block, encoded, make_cpu, pixels, take
from helpers.encode import bslz4
from helpers.hostile import CASES, PIXELS
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.errors import MessageError
from stream.core.messages import EncodedArray, Pattern
from stream.core.wire import decompress
from stream.ingest.integrate import CpuIntegrator
from stream.ingest.integrate.blobs import find_blocks
from stream.ingest.integrate.cuda import CudaIntegrator, card
from stream.ingest.integrate.cuda.launch import Batch
from stream.ingest.integrate.cuda.launch import decode as decode_on_card


def decoded(shim: ShimCard, arrays: list[EncodedArray]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    places = [find_blocks(array) for array in arrays]
    assert all(place is not None for place in places)
    images, damaged = decode_on_card(shim, Batch.of(shim, arrays, places))
    return images, damaged != 0


def hdf5_chunk(array: npt.NDArray[Any]) -> bytes:
    with h5py.File("chunk", "w", driver="core", backing_store=False) as file:
        filter_ = hdf5plugin.Bitshuffle(cname="lz4")
        data = file.create_dataset("x", data=array, chunks=array.shape, compression=filter_)
        return data.id.read_direct_chunk((0,) * array.ndim)[1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["zeros", "sparse", "dense", "noise", "gaps"])
def test_pixels_are_those_of_hdf5s_filter(program: Path, dtype: str, kind: str) -> None:
    for size in (1, 7, 8, 9, 2047, 2049, 8192, 8199, 32_773):
        array = pixels(dtype, (1, size), kind)
        images, damaged = decoded(ShimCard(program, seed=size), [encoded(array, hdf5_chunk(array))] * 2)
        assert not damaged.any()
        np.testing.assert_array_equal(images, np.vstack([array, array]), strict=True)


def test_recorded_eiger_4m_frame(program: Path, shared_data: Path) -> None:
    with h5py.File(shared_data / "eiger_h5" / "hdf5plugin_bitshuffle.h5") as file:
        data = file["entry/data/data"]
        frame, blob = data[0], data.id.read_direct_chunk((0, 0, 0))[1]
    images, damaged = decoded(ShimCard(program), [encoded(frame, blob)])
    assert not damaged.any()
    np.testing.assert_array_equal(images.reshape(frame.shape), frame, strict=True)


def integrators(shim: ShimCard, shape: tuple[int, int], bins: int, **stream: Any) -> tuple[CpuIntegrator, Any]:
    cpu = make_cpu(shape, bins)
    seen = {"mask": None, "saturation": None} | stream
    return cpu.for_series(**seen), CudaIntegrator.create(cpu, shim).for_series(**seen)


def assert_same(found: Pattern, expected: Pattern) -> None:
    for name in ("sums", "norms", "variances"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), strict=True, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["sparse", "dense", "noise", "gaps"])
@pytest.mark.parametrize("bins", [300, 20_000])  # in shared memory, and too many for it
def test_patterns_are_the_cpus_bit_for_bit(program: Path, dtype: str, kind: str, bins: int) -> None:
    shape = (163, 131)
    shim = ShimCard(program, seed=bins)
    image = pixels(dtype, shape, kind)
    cpu, card = integrators(shim, shape, bins)
    assert_same(card.encoded(encoded(image)), cpu(image))
    assert_same(card(image), cpu(image))
    assert shim.launches == 2
    mask = np.random.default_rng(4).random(shape) < 0.3
    cpu, card = integrators(shim, shape, bins, mask=mask, saturation=9)
    assert_same(card.encoded(encoded(image)), cpu(image))


@pytest.mark.parametrize("method", ["bbox", "full"])
def test_split_pixels_are_pyfais_shares(program: Path, method: str) -> None:
    """A frame as it was sent and one that is not compressed, a damaged one between; a second mask; pixels all ones."""
    shape = (61, 83)
    image = pixels("<u4", shape, "gaps")
    cpu = make_cpu(shape, 100, method=method)
    card = CudaIntegrator.create(cpu, ShimCard(program))
    assert_close(card(image), cpu(image))
    mask = np.random.default_rng(4).random(shape) < 0.3
    cpu, card = cpu.for_series(mask, 9), card.for_series(mask, 9)
    bad = encoded(image, bslz4(image)[:16] + b"\xff" * 200 + bslz4(image)[216:])
    first, damaged, last = card._batch([(array, find_blocks(array)) for array in (encoded(image), bad, encoded(image))])
    assert damaged is None
    assert_close(first, cpu(image))
    assert_same(last, first)


def assert_close(found: Pattern, expected: Pattern) -> None:
    """But for the last bits."""
    np.testing.assert_array_equal(found.norms > 0, expected.norms > 0)
    for name in ("sums", "norms", "variances"):
        theirs = getattr(expected, name)
        np.testing.assert_allclose(getattr(found, name), theirs, rtol=1e-6, atol=1e-6 * theirs.max(), err_msg=name)


def test_what_the_kernels_do_not_take_is_decoded_by_the_host(program: Path) -> None:
    shim = ShimCard(program)
    image = pixels("<u4", (71, 95), "dense")
    cpu, card = integrators(shim, image.shape, 100)
    others = [
        encoded(image, image.tobytes(), algorithm="raw", element_size=0),
        encoded(image, bslz4(image, 4096)),
        encoded(image.astype(">u4")),
        encoded(image, lz4.block.compress(image.tobytes(), store_size=False), algorithm="lz4", element_size=0),
    ]
    for n, array in enumerate(others):
        assert_same(card.encoded(array), cpu(image))
        assert shim.launches == n + 1


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_messages_are_refused_for_the_same_reason(program: Path, case: Any) -> None:
    """Under the sanitizers: a read or write outside of its buffer ends the program, and the test."""
    _, card = integrators(ShimCard(program), PIXELS.shape, 100)
    with pytest.raises(MessageError) as caught:
        take(case.parts, card)
    assert caught.value.reason == case.reject


@pytest.mark.parametrize(("name", "size", "lz4_bytes", "sound"), LZ4_BLOCKS)
def test_lz4_as_its_own_decoder_has_it(program: Path, name: str, size: int, lz4_bytes: bytes, sound: bool) -> None:
    try:
        accepted = len(lz4.block.decompress(lz4_bytes, uncompressed_size=size)) == size
    except lz4.block.LZ4BlockError:
        accepted = False
    assert accepted == (sound or name == "offset 0"), "which LZ4's decoder lets pass"
    array = block(size, lz4_bytes)
    images, damaged = decoded(ShimCard(program), [array])
    assert bool(damaged[0]) != sound
    if sound:
        np.testing.assert_array_equal(images, decompress(array))


GOOD = pixels("<u2", (61, 83), "gaps")
BLOB = bslz4(GOOD)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_any_damage_is_refused_or_decoded_as_by_the_library(program: Path, data: st.DataObject) -> None:
    """A batch of damaged blobs at a time, a good one among them; lengths are kept so that they come to the card."""
    places = find_blocks(encoded(GOOD))
    assert places is not None
    heads = {byte for place in places[:-1] for byte in range(place, place + 4)} | set(range(12))
    inside = [byte for byte in range(len(BLOB)) if byte not in heads]
    arrays = []
    for _ in range(8):
        blob = bytearray(BLOB)
        for _ in range(data.draw(st.integers(1, 4))):
            blob[data.draw(st.sampled_from(inside))] = data.draw(st.integers(0, 255))
        arrays.append(encoded(GOOD, bytes(blob)))
    images, damaged = decoded(ShimCard(program), [*arrays, encoded(GOOD)])
    for array, image, bad in zip(arrays, images, damaged, strict=False):
        try:
            expected = decompress(array)
        except MessageError:
            assert bad
        else:
            assert bad or np.array_equal(image.reshape(GOOD.shape), expected)
    assert not damaged[-1]
    np.testing.assert_array_equal(images[-1].reshape(GOOD.shape), GOOD)


def test_a_damaged_frame_harms_no_other_of_its_batch(program: Path) -> None:
    shim = ShimCard(program)
    images = [pixels(dtype, (61, 83), "dense") for dtype in ("<u2", "<u4", "<u2", "<u2")]
    cpu, card = integrators(shim, (61, 83), 100)
    arrays = [encoded(image) for image in images]
    arrays[2] = encoded(images[2], bslz4(images[2])[:16] + b"\xff" * 200 + bslz4(images[2])[216:])
    found = card._batch([(array, find_blocks(array)) for array in arrays])
    assert shim.launches == 2, "one for each dtype"
    assert found[2] is None
    for n in (0, 1, 3):
        assert_same(found[n], cpu(images[n]))


def test_threads_go_together(program: Path) -> None:
    """Sixteen threads, two lanes: fewer launches than frames, and each thread its own pattern or its own error."""
    shim = ShimCard(program)
    images = [np.full((61, 83), n, "<u2") for n in range(16)]
    cpu, card = integrators(shim, (61, 83), 100)
    arrays = [encoded(image) for image in images]
    arrays[5] = encoded(images[5], bslz4(images[5])[:-1])
    with ThreadPoolExecutor(16) as pool:
        work = [pool.submit(card.encoded, array) for array in arrays]
    for n, future in enumerate(work):
        if n == 5:
            with pytest.raises(MessageError, match="ends inside its blocks"):
                future.result()
        else:
            assert_same(future.result(), cpu(images[n]))
    assert shim.launches < 15


@pytest.mark.parametrize(
    ("line", "report"),
    [
        pytest.param(
            "        __syncwarp();  // what a match repeats is there\n", "Mismatched elements", marks=pytest.mark.slow
        ),
        (" || match > size - at - LAST_LITERALS", "AddressSanitizer"),
    ],
)
def test_the_shim_notices_a_kernel_that_is_wrong(tmp_path: Path, line: str, report: str) -> None:
    for source in card.FOLDER.glob("*.[hc]*"):
        text = source.read_text()
        assert line in text or source.name != "bslz4.h"
        (tmp_path / source.name).write_text(text.replace(line, ""))
    shim = ShimCard(compile_shim(tmp_path, tmp_path))
    image = pixels("<u4", (101, 400), "dense")
    long = b"\x1fa\x01\x00" + b"\xff" * 32 + b"\xc8\x50aaaaa"  # 188 bytes beyond a block
    four = struct.pack(">QI", 4 * 8192, 8192) + 4 * (struct.pack(">I", len(long)) + long)

    def use() -> None:
        np.testing.assert_array_equal(decoded(shim, [encoded(image)])[0].reshape(image.shape), image)
        decoded(shim, [encoded(np.zeros((4, 8192), "|u1"), four)])

    with pytest.raises(AssertionError, match=report):
        use()


def test_nvidias_compiler_takes_the_same_sources(tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("there is no nvcc: the kernels are NOT compiled for a device")
    command = [nvcc, "-std=c++17", "-arch=sm_80", "-Werror", "all-warnings", "-cubin", "-o", str(tmp_path / "kernels")]
    subprocess.run([*command, str(card.FOLDER / "kernels.cu")], check=True)
