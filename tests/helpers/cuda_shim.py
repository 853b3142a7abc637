"""A card for machines without one: the CUDA sources compiled by g++ with the sanitizers on, each launch a process."""

from __future__ import annotations

import shutil
import struct
import subprocess
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stream.analyse.tomography.cuda import projector
from stream.ingest.integrate.cuda import card

HERE = Path(__file__).parent
FLAGS = ["-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fno-omit-frame-pointer"]
FOLDERS = card.FOLDER, projector.FOLDER
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def compile_shim(folder: Path, *sources: Path) -> Path:
    """The kernels as a program, sources found in folders given before the package's; skips where there is no g++."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++: the CUDA kernels are NOT exercised")
    program = folder / "kernels"
    places = [f"-I{place}" for place in (HERE, *sources, *FOLDERS)]
    command = [compiler, *FLAGS, *SANITIZERS, *places, str(HERE / "cuda_shim.cpp")]
    subprocess.run([*command, "-o", str(program)], check=True)
    return program


@dataclass
class ShimCard:
    """Runs kernels as `CupyCard` does; "memory of the card" are NumPy arrays. seed draws the order of the threads."""

    program: Path
    seed: int = 1
    streams: int = 2
    launches: int = 0

    def stream(self) -> AbstractContextManager[None]:
        return nullcontext()

    def staging(self, size: int) -> npt.NDArray[np.uint8]:
        return np.empty(size, dtype=np.uint8)

    def put(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array.copy()

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        return np.zeros(shape, dtype=dtype)

    def get(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array.copy()

    def launch(self, kernel: str, grid: tuple[int, int], threads: int, shared: int, *arguments: Any) -> None:
        """Run the kernel; AssertionError with the sanitizer's report where it does what it must not."""
        self.launches += 1
        message = [struct.pack("<5q", *grid, threads, shared, len(arguments))]
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                message += [struct.pack("<q", argument.nbytes), argument.tobytes()]
            else:
                message.append(struct.pack("<2q", -1, int(argument)))
        ran = subprocess.run(
            [self.program, kernel, str(self.seed)], input=b"".join(message), capture_output=True, check=False
        )
        assert ran.returncode == 0, ran.stderr.decode()
        at = 0
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                argument.reshape(-1)[:] = np.frombuffer(ran.stdout, argument.dtype, argument.size, at)
                at += argument.nbytes
        assert at == len(ran.stdout)
