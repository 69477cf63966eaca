"""
Writes Oxford .h5oina files from known arrays.

The layout follows version 7 of Oxford's specification (https://github.com/oinanoanalysis/h5oina):
slices, techniques with ``Data`` and ``Header``, header entries of one element.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

CHANNELS = 60
SHAPE = (9, 14)


@dataclass
class Entry:
    """A dataset with attributes or creation options."""

    values: Any
    attrs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Technique:
    """A technique's two groups; a dictionary in a dictionary is a group."""

    header: dict[str, Any]
    data: dict[str, Any]

    def without(self, *names: str) -> Technique:
        """Leave out header entries."""
        return Technique({k: v for k, v in self.header.items() if k not in names}, self.data)


@dataclass
class Style:
    """How a version of the vendor's program writes small things."""

    header_shape: tuple[int, ...] = (1,)
    text: str = "str"  # or "bytes", "fixed"
    libver: str | tuple[str, str] | None = None


def eds_header(rows: int, columns: int, channels: int = CHANNELS, **changes: Any) -> dict[str, Any]:
    """Header of an EDS technique; ``changes`` are of its single entries."""
    header = {
        "Project Label": "Project 1",
        "Specimen Label": "a rock",
        "Site Label": "Site 1",
        "Analysis Label": "Map Data 1",
        "Beam Voltage": np.float32(20.0),
        "X Cells": np.int32(columns),
        "Y Cells": np.int32(rows),
        "X Step": np.float32(0.25),
        "Y Step": np.float32(0.5),
        "Channel Width": np.float32(10.0),
        "Start Channel": np.float32(-200.0),
        "Number Channels": np.int32(channels),
        "Energy Range": np.float32(20.0),
        "Process Time": np.int32(4),
        "Strobe FWHM": np.float32(50.0),
        "Detector Elevation": np.float32(np.radians(35.0)),
        "Detector Azimuth": np.float32(np.radians(45.0)),
        "Stage Position": {
            "X": np.float32(1.5),
            "Y": np.float32(-2.5),
            "Z": np.float32(30.0),
            "Tilt": np.float32(np.radians(70.0)),
            "Rotation": np.float32(np.radians(-10.0)),
        },
    }
    return {**header, **changes}


def spectra(counts: np.ndarray, *, chunks: Any = (4, CHANNELS), **options: Any) -> Entry:
    """Spectra of a map, flattened in its rows and columns."""
    flat = counts.reshape(-1, counts.shape[-1])
    if chunks is not None:
        chunks = tuple(min(c, s) for c, s in zip(chunks, flat.shape, strict=True))
        options = {"compression": "lzf", "chunks": chunks, **options}
    return Entry(flat, options=options)


def eds(counts: np.ndarray, data: dict[str, Any] | None = None, **changes: Any) -> Technique:
    """EDS technique with spectra, counts of shape (rows, columns, channels)."""
    rows, columns, channels = counts.shape
    header = eds_header(rows, columns, channels, **changes)
    data = dict(data or {})
    if "Spectrum" not in data:
        data["Spectrum"] = spectra(counts.astype(np.int32))
    return Technique(header, data)


def line_map(values: np.ndarray, number: int, line: str | None, *, as_bytes: bool = False) -> Entry:
    """Map of an element or line with the attributes that name it."""
    attrs: dict[str, Any] = {"Atomic Number": np.full((1, 1), number, np.int32)}
    if line is not None:
        attrs["X-ray Line"] = np.array([line.encode()]) if as_bytes else line
    return Entry(values.reshape(-1, 1).astype(np.float32), attrs)


def per_pixel(
    seed: int = 0, shape: tuple[int, int] = SHAPE, dtype: npt.DTypeLike = np.float32
) -> np.ndarray:
    """Random values of the pixels."""
    return (np.random.default_rng(seed).random(shape) * 100).astype(dtype)


def column(values: np.ndarray) -> Entry:
    """Values of the pixels as Oxford stores them: one below the other."""
    return Entry(values.reshape(-1, 1))


def electron_image(images: dict[str, dict[str, np.ndarray]], **changes: Any) -> Technique:
    """Electron images by kind and name, all of one size."""
    rows, columns = next(iter(next(iter(images.values())).values())).shape
    header = {
        "X Cells": np.int32(columns),
        "Y Cells": np.int32(rows),
        "X Step": np.float32(0.125),
        "Y Step": np.float32(0.25),
        **changes,
    }
    data = {
        kind: {name: Entry(values.reshape(-1, 1)) for name, values in named.items()}
        for kind, named in images.items()
    }
    return Technique(header, data)


def write_h5oina(
    path: Path,
    slices: dict[str, dict[str, Technique]],
    style: Style | None = None,
    root: dict[str, Any] | None = None,
) -> Path:
    """Write a file; each slice has its techniques by name."""
    style = style or Style()
    with h5py.File(path, "w", libver=style.libver) as file:
        top = {"Manufacturer": "Oxford Instruments", "Format Version": "7.0"}
        for name, value in {**top, **(root or {})}.items():
            _write(file, name, value, style)
        file["Index"] = np.array([[name.encode()] for name in slices])
        for number, techniques in slices.items():
            for name, technique in techniques.items():
                group = file.create_group(f"{number}/{name}")
                _write(group, "Header", technique.header, style)
                _write(group, "Data", technique.data, style)
    return path


def _write(group: h5py.Group, name: str, value: Any, style: Style) -> None:
    if isinstance(value, dict):
        inner = group.create_group(name)
        for key, entry in value.items():
            _write(inner, key, entry, style)
    elif isinstance(value, Entry):
        dataset = group.create_dataset(name, data=value.values, **value.options)
        dataset.attrs.update(value.attrs)
    elif isinstance(value, str):
        kinds = {"str": h5py.string_dtype(), "bytes": h5py.string_dtype("ascii")}
        dtype = kinds.get(style.text, f"S{len(value) + 1}")
        group.create_dataset(name, data=np.full(style.header_shape, value.encode(), dtype=dtype))
    else:
        group.create_dataset(name, data=np.full(style.header_shape, value))


def make_counts(shape: tuple[int, ...] = (9, 14, CHANNELS), seed: int = 0) -> np.ndarray:
    """Sparse counts with some empty pixels."""
    counts = np.random.default_rng(seed).poisson(0.3, shape).astype(np.int32)
    counts[2, 3] = 0
    counts[-1, -1, -1] = 1000
    return counts
