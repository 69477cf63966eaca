"""Writes small files of the formats that go through RosettaSciIO."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

_DM_TYPES = {"i2": 1, "f4": 2, "i4": 7, "u2": 10, "u4": 11, "u1": 6}
_DM_ARRAYS = {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "u1": 10}


def write_spd(path: Path, data: np.ndarray, *, spc: bool = True, ipr: bool = True) -> Path:
    """EDAX map of 20 eV per channel, with its calibration beside it."""
    from rsciio.edax._api import get_ipr_dtype_list, get_spc_dtype_list, get_spd_dtype_list

    rows, columns, channels = data.shape
    header = np.zeros(1, get_spd_dtype_list("<"))
    header["nSpectra"], header["nPoints"], header["nLines"] = rows * columns, columns, rows
    header["nChannels"], header["countBytes"] = channels, data.dtype.itemsize
    header["dataOffset"] = header.nbytes
    header["tag"][0, :15] = np.frombuffer(b"MAPSPECTRA_DATA", "i1")
    name = f"{path.stem}.bmp".encode()
    header["fName"][0, : len(name)] = np.frombuffer(name, "i1")
    path.write_bytes(header.tobytes() + data.tobytes())
    if spc:
        other = np.zeros(1, get_spc_dtype_list(load_all=True, endianness="<", version=0.61))
        other["fVersion"], other["evPerChan"], other["startEnergy"] = 0.61, 20, 0.1
        other["kV"], other["numElem"], other["liveTime"] = 15.0, 2, 7.0
        other["at"][0, :2] = [13, 14]
        path.with_suffix(".spc").write_bytes(other.tobytes().ljust(32_768, b"\0"))
    if ipr:
        other = np.zeros(1, get_ipr_dtype_list("<", 333))
        other["version"], other["mppX"], other["mppY"] = 333, 0.25, 0.5
        path.with_suffix(".ipr").write_bytes(other.tobytes())
    return path


def write_dm3(path: Path, signals: list[dict[str, Any]]) -> Path:
    """
    DigitalMicrograph file.

    Each signal has ``data`` (as stored: energies first), ``axes`` (origin, scale, units, in the
    order of the data's dimensions), ``name`` and ``tags``.
    """
    images = [(f"{''}", _group(_image(signal))) for signal in signals]
    root = [("ImageList", _group(images))]
    body = _entries(root)
    path.write_bytes(struct.pack(">3i", 3, len(body), 1) + body + bytes(8))
    return path


def _image(signal: dict[str, Any]) -> list[tuple[str, bytes]]:
    data = signal["data"]
    kind = data.dtype.str[1:]
    dimensions = [
        (
            "",
            _group(
                [("Origin", _number(origin)), ("Scale", _number(scale)), ("Units", _text(units))]
            ),
        )
        for origin, scale, units in reversed(signal["axes"])
    ]
    brightness = _group([("Origin", _number(0)), ("Scale", _number(1)), ("Units", _text("counts"))])
    calibrations = [("Brightness", brightness), ("Dimension", _group(dimensions))]
    content = struct.pack(">3i", 20, _DM_ARRAYS[kind], data.size) + data.tobytes()
    image_data = [
        ("Calibrations", _group(calibrations)),
        ("Data", _data(3, content)),
        ("DataType", _integer(_DM_TYPES[kind])),
        ("Dimensions", _group([("", _integer(size)) for size in reversed(data.shape)])),
        ("PixelDepth", _integer(data.dtype.itemsize)),
    ]
    return [
        ("ImageData", _group(image_data)),
        ("ImageTags", _group(signal.get("tags", []))),
        ("Name", _text(signal["name"])),
    ]


def x_ray_tags(kind: str = "Spectrum image", voltage: float = 2e5) -> list[tuple[str, bytes]]:
    """Tags of a map of X-rays."""
    return [
        ("Meta Data", _group([("Format", _text(kind)), ("Signal", _text("X-ray"))])),
        ("Microscope Info", _group([("Voltage", _number(voltage))])),
    ]


def _entries(tags: list[tuple[str, bytes]]) -> bytes:
    """Body of a group: flags, how many tags, and the tags."""
    body = struct.pack(">bbi", 0, 0, len(tags))
    for name, content in tags:
        body += content[:1] + struct.pack(">h", len(name)) + name.encode() + content[1:]
    return body


def _group(tags: list[tuple[str, bytes]]) -> bytes:
    return bytes([20]) + _entries(tags)


def _data(n_info: int, content: bytes) -> bytes:
    return bytes([21]) + b"%%%%" + struct.pack(">i", n_info) + content


def _number(value: float) -> bytes:
    return _data(1, struct.pack(">i", 7) + struct.pack("<d", value))


def _integer(value: int) -> bytes:
    return _data(1, struct.pack(">i", 5) + struct.pack("<I", value))


def _text(value: str) -> bytes:
    return _data(3, struct.pack(">3i", 20, 4, len(value)) + value.encode("utf-16-le"))


def rewrite_pts(original: Path, path: Path, words: np.ndarray, *, sweeps: int) -> Path:
    """JEOL map with the header of another one, whose number of frames is changed."""
    content = original.read_bytes()
    start = struct.unpack_from("<6I", content, 12)[4]
    header = bytearray(content[:start])
    struct.pack_into("<I", header, 32, 2 * words.size)
    place = header.index(b"Sweep\0")
    struct.pack_into("<H", header, place + len(b"Sweep\0") + 8, sweeps)
    path.write_bytes(bytes(header) + words.astype("<u2").tobytes())
    return path
