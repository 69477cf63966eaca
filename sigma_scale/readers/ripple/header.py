"""
The ``.rpl`` header of a raw file.

Keywords after Lispix [1]_; those that calibrate the axes are HyperSpy's.

References
----------
.. [1] https://www.nist.gov/services-resources/software/lispixdoc/image-file-formats/raw-file-format.htm
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sigma_scale.errors import EmptyMapError, FileFormatError
from sigma_scale.readers.beside import Calibration, length_um, number, read_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RippleHeader", "read_header"]

_KINDS = {"signed": "i", "unsigned": "u", "float": "f"}
_ORDERS = {"little-endian": "<", "big-endian": ">", "dont-care": "<"}
_RECORDS = ("vector", "image", "dont-care")
_LARGEST_KEV_STEP = 0.5

# "(MLX::width : 1024)" is INCA's way to write "width<tab>1024".
_INCA = re.compile(r"^\(MLX::(?P<key>[^:\s]+)\s*:?\s*(?P<value>.*?)\)?$", re.IGNORECASE)

_FIELDS = {
    "beam-energy": "beam_energy_kev",
    "elevation-angle": "elevation_deg",
    "azimuth-angle": "azimuth_deg",
    "live-time": "live_time_s",
    "real-time": "real_time_s",
    "tilt-stage": "stage_tilt_deg",
    "energy-resolution": "resolution_mn_ka_ev",
    "detector-peak-width-ev": "resolution_mn_ka_ev",
}


@dataclass(frozen=True, slots=True)
class RippleHeader:
    """
    What a ``.rpl`` file says of its ``.raw`` file.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns and channels.
    offset : int
        Bytes before the counts.
    dtype : numpy.dtype
        Type of the counts in the file, with its byte order.
    record_by : {"vector", "image", "dont-care"}
        Spectrum by spectrum, plane by plane, or neither.
    signal : str
        HyperSpy's type of the signal, such as ``"EDS_SEM"``; mostly empty.
    calibration : Calibration
        What it says of the axes.
    """

    shape: tuple[int, int, int]
    offset: int
    dtype: np.dtype[Any]
    record_by: Literal["vector", "image", "dont-care"]
    signal: str
    calibration: Calibration


def read_header(path: Path) -> RippleHeader:
    """
    Read a ``.rpl`` file.

    Raises
    ------
    EmptyMapError
        If it describes a map without pixels or channels.
    FileFormatError
        If a keyword is missing or makes no sense.
    """
    entries = _entries(read_text(path))
    shape = (
        _whole(path, entries, "height"),
        _whole(path, entries, "width"),
        _whole(path, entries, "depth"),
    )
    if 0 in shape:
        raise EmptyMapError(f"{path}: the map has no pixels or no channels: shape {shape}.")
    length = _one_of(path, entries, "data-length", ("1", "2", "4", "8"))
    kind = _one_of(path, entries, "data-type", tuple(_KINDS))
    if kind == "float" and length in ("1", "2"):
        raise FileFormatError(f"{path}: floats take 4 or 8 bytes, not data-length {length}.")
    entries.setdefault("byte-order", "dont-care" if length == "1" else "")
    order = _ORDERS[_one_of(path, entries, "byte-order", tuple(_ORDERS))]
    entries.setdefault("offset", "0")
    record_by: Any = _one_of(path, entries, "record-by", _RECORDS)
    return RippleHeader(
        shape=shape,
        offset=_whole(path, entries, "offset"),
        dtype=np.dtype(f"{order}{_KINDS[kind]}{length}"),
        record_by=record_by,
        signal=entries.get("signal", ""),
        calibration=_calibration(entries, shape[2]),
    )


def _entries(text: str) -> dict[str, str]:
    """Values by keyword in lower case, without comments."""
    entries = {}
    for line in text.splitlines():
        content = line.split(";", 1)[0].strip()
        if not content:
            continue
        if found := _INCA.match(content):
            key, value = found["key"], found["value"]
        else:
            key, *rest = content.split("\t" if "\t" in content else None, 1)
            value = rest[0] if rest else ""
        entries[key.strip().rstrip(":").lower()] = value.strip()
    return entries


def _whole(path: Path, entries: dict[str, str], key: str) -> int:
    text = entries.get(key)
    if text is None:
        raise FileFormatError(f"{path} has no entry {key!r}: it is damaged or not a .rpl header.")
    if re.fullmatch(r"\d{1,18}", text) is None:
        raise FileFormatError(f"{path}: {key} is {text[:40]!r}, not a whole number from 0 upward.")
    return int(text)


def _one_of(path: Path, entries: dict[str, str], key: str, choices: tuple[str, ...]) -> str:
    text = entries.get(key, "").lower()
    if text not in choices:
        raise FileFormatError(f"{path}: {key} is {text[:40]!r}, not one of {', '.join(choices)}.")
    return text


def _calibration(entries: dict[str, str], n_channels: int) -> Calibration:
    metadata: dict[str, Any] = {
        name: value
        for key, name in _FIELDS.items()
        if (value := number(entries.get(key))) is not None
    }
    if entries.get("title"):
        metadata["title"] = entries["title"]
    if "TEM" in entries.get("signal", "").upper() or "convergence-angle" in entries:
        metadata["instrument"] = "TEM"
    width, offset = _energies(entries)
    return Calibration(
        channel_width_ev=width,
        offset_ev=offset,
        n_channels=n_channels,
        pixel_height_um=_pixel_um(entries, "height"),
        pixel_width_um=_pixel_um(entries, "width"),
        metadata=metadata,
    )


def _energies(entries: dict[str, str]) -> tuple[float | None, float | None]:
    """Channel width and offset in eV."""
    scale, units = number(entries.get("depth-scale")), entries.get("depth-units", "").lower()
    if scale is None or scale <= 0:
        # Lispix's own keyword, for which HyperSpy writes a rounded number, 0 for an axis in keV.
        width = number(entries.get("ev-per-chan"))
        return (width, None) if width is not None and width > 0 else (None, None)
    in_kev = units == "kev" or (units != "ev" and scale < _LARGEST_KEV_STEP)
    factor = 1e3 if in_kev else 1.0
    offset = number(entries.get("depth-origin"))
    return scale * factor, None if offset is None else offset * factor


def _pixel_um(entries: dict[str, str], side: str) -> float | None:
    return length_um(number(entries.get(f"{side}-scale")), entries.get(f"{side}-units"))
