"""One map in every format that there is a reader for."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import bruker_files
import h5py
import hyperspy_files
import numpy as np
import oxford_files
import ripple_files
import tia_files
import velox_files
import xarray_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHAPE = (141, 133, 64)
"""More than one block of 128 x 128 pixels, none of them whole but the first."""


def make_counts(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Sparse counts with peaks, empty pixels and a pixel with many counts."""
    rng = np.random.default_rng(11)
    rate = 0.02 + 0.5 * np.exp(-((np.arange(shape[2]) - 20) ** 2) / 8)
    counts = rng.poisson(rate, shape).astype(np.uint16)
    counts[3:5, 7] = 0
    counts[-1, -1] = 0
    counts[0, 0, -1] = 250
    return counts


def _bcf(folder: Path, counts: np.ndarray, **options: Any) -> Path:
    return bruker_files.write_bcf(folder / "map.bcf", counts, **options)


def _h5oina(folder: Path, counts: np.ndarray) -> Path:
    rows, columns, channels = counts.shape
    eds = oxford_files.eds(
        counts, **{"X Cells": columns, "Y Cells": rows, "Number Channels": channels}
    )
    return oxford_files.write_h5oina(folder / "map.h5oina", {"1": {"EDS": eds}})


def _raw(record_by: str) -> Callable[[Path, np.ndarray], Path]:
    def write(folder: Path, counts: np.ndarray) -> Path:
        path = ripple_files.write_ripple(folder, counts, record_by=record_by)
        ripple_files.write_emsa(folder / "map.msa", counts.shape[2])
        return path.with_suffix(".raw") if record_by == "image" else path

    return write


def _emd(folder: Path, counts: np.ndarray) -> Path:
    # Two frames of two detectors that add up to the counts.
    half, rest = counts // 2, counts - counts // 2
    parts = np.array([[half // 2, half - half // 2], [rest // 3, rest - rest // 3]])
    return velox_files.write_velox(folder / "map.emd", parts)


def _hyperspy(suffix: str) -> Callable[[Path, np.ndarray], Path]:
    def write(folder: Path, counts: np.ndarray) -> Path:
        return hyperspy_files.write(folder, counts, suffix=suffix)

    return write


def _xarray(kind: str) -> Callable[[Path, np.ndarray], Path]:
    def write(folder: Path, counts: np.ndarray) -> Path:
        return xarray_files.save(xarray_files.make_dataset(counts.astype(np.int32)), folder, kind)

    return write


def _npy(folder: Path, counts: np.ndarray) -> Path:
    np.save(folder / "map.npy", counts)
    return folder / "map.npy"


FORMATS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    "bcf": _bcf,
    "bcf_zlib": lambda folder, counts: _bcf(folder, counts, compressed_parts=9000),
    "h5oina": _h5oina,
    "rpl_vector": _raw("vector"),
    "raw_image": _raw("image"),
    "emi": lambda folder, counts: tia_files.write_tia(folder, counts.astype(np.int32)),
    "emd": _emd,
    "hspy": _hyperspy(".hspy"),
    "zspy": _hyperspy(".zspy"),
    "zarr_v3": _xarray("v3.zarr"),
    "zarr_v2": _xarray("v2.zarr"),
    "nc_hdf5": _xarray("hdf5.nc"),
    "nc_classic": _xarray("classic.nc"),
    "npy": _npy,
}


def write(name: str, folder: Path, counts: np.ndarray) -> Path:
    """Write counts in a format; the path to open."""
    folder.mkdir(exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FORMATS[name](folder, counts)


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5, whatever its suffix."""
    return path.is_file() and h5py.is_hdf5(path)
