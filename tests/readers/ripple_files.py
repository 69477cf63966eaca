"""Ripple files, and calibration files beside them, from known arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EMSA = {
    "FORMAT": "EMSA/MAS Spectral Data File",
    "VERSION": "1.0",
    "TITLE": "Map sum spectrum",
    "XUNITS": "keV",
    "XPERCHAN": "0.02",
    "OFFSET": "-0.1",
    "SIGNALTYPE": "EDS_SEM",
    "LIVETIME": "20.5",
    "REALTIME -s": "30.25",
    "BEAMKV": "15.0",
    "XTILTSTGE": "1.5",
    "AZIMANGLE": "45.0",
    "ELEVANGLE -dg": "35.0",
    "XPOSITION mm": "-8.5",
    "#OXINSTPT": "6",
    "#OXINSTELEMS": "6,8,26,0,500",
    "#OXINSTLABEL": "26, 6.4, Fe",
}
"""Header as AZtec writes it."""

_KINDS = {"i": "signed", "u": "unsigned", "f": "float"}
_ORDERS = {"<": "little-endian", ">": "big-endian", "|": "dont-care", "=": "little-endian"}


def write_raw(path: Path, counts: np.ndarray, record_by: str = "vector", before: int = 0) -> Path:
    """Write counts (y, x, energy) in one of the two orders."""
    stored = np.moveaxis(counts, 2, 0) if record_by == "image" else counts
    path.write_bytes(b"\x07" * before + np.ascontiguousarray(stored).tobytes())
    return path


def write_ripple(
    folder: Path,
    counts: np.ndarray,
    *,
    stem: str = "map",
    record_by: str = "vector",
    before: int = 0,
    separator: str = "\t",
    entries: Mapping[str, object] | None = None,
) -> Path:
    """Write a pair of files; the .rpl file's path. Entries of None are left out."""
    rows, columns, channels = counts.shape
    header: dict[str, object] = {
        "width": columns,
        "height": rows,
        "depth": channels,
        "offset": before,
        "data-length": counts.dtype.itemsize,
        "data-type": _KINDS[counts.dtype.kind],
        "byte-order": _ORDERS[counts.dtype.byteorder],
        "record-by": record_by,
        **(entries or {}),
    }
    lines = ["; written for a test", f"key{separator}value"]
    lines += [f"{key}{separator}{value}" for key, value in header.items() if value is not None]
    path = folder / f"{stem}.rpl"
    path.write_text("\n".join(lines) + "\n", encoding="latin-1")
    write_raw(folder / f"{stem}.raw", counts, record_by, before)
    return path


def write_emsa(path: Path, n_points: int, **changes: str | None) -> Path:
    """Write an EMSA/MAS spectrum; changes name keywords, those of None are left out."""
    header = {**EMSA, "NPOINTS": f"{n_points}.", **changes}
    lines = [f"#{key:<12}: {value}" for key, value in header.items() if value is not None]
    points = [f"{0.02 * i - 0.1:.3f}, {i}." for i in range(n_points)]
    text = "\r\n".join([*lines, "#SPECTRUM    :", *points, "#ENDOFDATA   :", ""])
    path.write_text(text, encoding="latin-1", newline="")
    return path


def write_par(path: Path, entries: Mapping[str, object], separator: str = ": ") -> Path:
    """Write AZtec's text."""
    lines = ["[Map]", *(f"{key}{separator}{value}" for key, value in entries.items())]
    path.write_text("\r\n".join(lines), encoding="utf-8", newline="")
    return path
