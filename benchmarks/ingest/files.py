"""
Files of random counts in the formats that are measured, of any size.

They are written as the tests of the readers write theirs, some rows of the map at a time.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "readers"))

import bruker_files  # type: ignore[import-not-found]
import oxford_files  # type: ignore[import-not-found]
import ripple_files  # type: ignore[import-not-found]
import velox_files  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CHANNELS = 2048
_BAND = 8
"""Rows that dense formats repeat: made as a dense array."""


def write_bcf(path: Path, shape: tuple[int, int, int], density: float) -> Path:
    """Write a .bcf file."""
    rows = bruker_files.random_rows(shape, density)
    bruker_files.write_bcf_stream(path, shape, rows)
    return path


def write_emd(path: Path, shape: tuple[int, int, int], density: float) -> Path:
    """Write a Velox file of ten frames."""
    velox_files.write_random_velox(path, shape, counts_per_pixel=density, n_frames=10)
    return path


def random_counts(shape: tuple[int, int, int], density: float) -> NDArray[np.int32]:
    """Make random counts, dense; for maps of moderate size only."""
    counts = np.zeros((shape[0] * shape[1], shape[2]), dtype=np.int32)
    rng = np.random.default_rng(0)
    number = int(density * counts.shape[0])
    channels = np.minimum(rng.gamma(2.0, shape[2] / 12, number).astype(int), shape[2] - 1)
    np.add.at(counts, (rng.integers(0, counts.shape[0], number), channels), 1)
    return counts.reshape(shape)


def write_h5oina(path: Path, shape: tuple[int, int, int], density: float) -> Path:
    """Write an .h5oina file, the same band of rows over and over."""
    import h5py

    rows, columns, channels = shape
    band = random_counts((min(_BAND, rows), columns, channels), density)
    header = {"X Cells": columns, "Y Cells": rows, "Number Channels": channels}
    oxford_files.write_h5oina(path, {"1": {"EDS": oxford_files.eds(band, **header)}})
    with h5py.File(path, "r+") as file:
        data: Any = file["1/EDS/Data"]
        del data["Spectrum"]
        spectra = data.create_dataset(
            "Spectrum",
            (rows * columns, channels),
            np.int32,
            chunks=(16, channels),
            compression="lzf",
        )
        flat = band.reshape(-1, channels)
        for start in range(0, rows * columns, flat.shape[0]):
            stop = min(start + flat.shape[0], rows * columns)
            spectra[start:stop] = flat[: stop - start]
    return path


def write_rpl(path: Path, shape: tuple[int, int, int], density: float) -> Path:
    """Write a pair of .rpl and .raw files, the same band of rows over and over."""
    rows, columns, channels = shape
    band = random_counts((min(_BAND, rows), columns, channels), density).astype(np.uint8)
    ripple_files.write_ripple(path.parent, band[:1], stem=path.stem, entries={"height": rows})
    with path.with_suffix(".raw").open("wb") as stream:
        for start in range(0, rows, band.shape[0]):
            stream.write(band[: min(band.shape[0], rows - start)].tobytes())
    ripple_files.write_emsa(path.with_suffix(".msa"), channels)
    return path


WRITERS: dict[str, Callable[[Path, tuple[int, int, int], float], Path]] = {
    "bcf": write_bcf,
    "emd": write_emd,
    "rpl": write_rpl,
    "h5oina": write_h5oina,
}
"""What writes a file, by its suffix."""


def parts_of(path: Path) -> list[Path]:
    """Give all files that a map consists of, those beside the one that is opened included."""
    return sorted(path.parent.glob(f"{path.stem}.*"))


def remove(path: Path) -> None:
    """Delete a map's files."""
    for part in parts_of(path):
        part.unlink()
