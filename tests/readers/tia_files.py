"""FEI TIA files from known arrays."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NUMBERS = {
    name: number
    for number, name in enumerate(
        ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8", "c8", "c16"), start=1
    )
}
UNITS = "meters"


def _text(content: str) -> bytes:
    return struct.pack("<I", len(content)) + content.encode()


def _file(
    elements: list[bytes],
    tags: list[bytes],
    *,
    kind: int,
    tag_kind: int,
    dimensions: Sequence[tuple[int, float, str]],
    total: int,
    wide: bool,
    shuffle: bool = False,
) -> bytes:
    """Header, table of places, then elements with their tags."""
    place = struct.Struct("<Q" if wide else "<I")
    described = b"".join(
        struct.pack("<Iddi", size, 0.5 * step, step, 0) + _text("Position") + _text(units)
        for size, step, units in dimensions
    )
    start_of_table = 22 + place.size + 4 + len(described)
    header = struct.pack(
        "<HHHIIII", 0x4949, 0x0197, 0x220 if wide else 0x210, kind, tag_kind, total, len(elements)
    )
    header += place.pack(start_of_table) + struct.pack("<I", len(dimensions)) + described
    order = np.random.default_rng(0).permutation(len(elements)) if shuffle else range(len(elements))
    position = start_of_table + 2 * total * place.size
    places, tag_places, body = [0] * total, [0] * total, b""
    for number in order:
        places[number] = position + len(body)
        tag_places[number] = places[number] + len(elements[number])
        body += elements[number] + tags[number]
    return header + b"".join(place.pack(p) for p in places + tag_places) + body


def write_ser(
    path: Path,
    counts: np.ndarray,
    *,
    step_ev: float = 10.0,
    start_ev: float = -200.0,
    reference: int = 0,
    pixel_m: tuple[float, float] = (4e-9, 2e-9),
    units: str = UNITS,
    line: bool = False,
    wide: bool = True,
    positions: bool = True,
    down: bool = False,
    n_valid: int | None = None,
    shuffle: bool = False,
) -> Path:
    """
    Write spectra, counts (y, x, energy).

    ``line`` gives them one dimension, ``down`` lets the beam go down the columns, ``shuffle`` puts
    the elements anywhere into the file, and only the first ``n_valid`` are written.
    """
    rows, columns, channels = counts.shape
    number = NUMBERS[counts.dtype.str[1:]]
    places = [(y, x) for y in range(rows) for x in range(columns)]
    dimensions = [(columns, pixel_m[1], units), (rows, -pixel_m[0], units)]
    if line:
        dimensions = [(rows * columns, pixel_m[1], units)]
    if down:
        dimensions.reverse()
    elements, tags = [], []
    for y, x in places[: rows * columns if n_valid is None else n_valid]:
        head = struct.pack("<ddiHI", start_ev, step_ev, reference, number, channels)
        elements.append(head + counts[y, x].tobytes())
        # TIA tells where the beam was: along a row the height stays as it is.
        height = x if down else y
        tag = struct.pack("<HHI", 0x4142 if positions else 0x4152, 0, 0)
        tags.append(tag + struct.pack("<dd", x * 2e-9, -height * 4e-9) * positions)
    path.write_bytes(
        _file(
            elements,
            tags,
            kind=0x4120,
            tag_kind=0x4142 if positions else 0x4152,
            dimensions=dimensions,
            total=rows * columns,
            wide=wide,
            shuffle=shuffle,
        )
    )
    return path


def write_image_ser(path: Path, images: np.ndarray, pixel_m: float = 1e-9) -> Path:
    """Write one image (y, x), its top row first, or several (n, y, x)."""
    stack = images if images.ndim == 3 else images[None]
    _, rows, columns = stack.shape
    number = NUMBERS[images.dtype.str[1:]]
    head = struct.pack("<ddiddiHII", 0, pixel_m, 0, 0, pixel_m, 0, number, columns, rows)
    elements = [head + np.ascontiguousarray(image[::-1]).tobytes() for image in stack]
    tags = [struct.pack("<HHI", 0x4152, 0, 0)] * len(elements)
    content = _file(
        elements,
        tags,
        kind=0x4122,
        tag_kind=0x4152,
        dimensions=[(len(elements), 1.0, "")],
        total=len(elements),
        wide=True,
    )
    path.write_bytes(content)
    return path


def object_info(manufacturer: str = "FEI (STEM)", **labels: tuple[str, str]) -> str:
    """Describe a detector in TIA's XML; labels are names with a value and a unit each."""
    data = "".join(
        f"<Data><Label>{name.replace('_', ' ')}</Label><Value>{value}</Value>"
        f"<Unit>{unit}</Unit></Data>"
        for name, (value, unit) in labels.items()
    )
    return (
        "<ObjectInfo><Uuid>0dab</Uuid><ExperimentalDescription><Root>"
        f"{data}</Root></ExperimentalDescription>"
        "<AcquireDate>Mon Feb 22 19:32:25 2016</AcquireDate>"
        f"<Manufacturer>{manufacturer}</Manufacturer></ObjectInfo>"
    )


def write_emi(path: Path, *infos: str) -> Path:
    """Write metadata between other bytes."""
    content = b"JK\x00\x02" + bytes(64)
    for info in infos:
        content += b"`\x00\x19\x04" + info.encode() + b"\r\n\x00\x01" + bytes(32)
    path.write_bytes(content)
    return path


def write_tia(folder: Path, counts: np.ndarray, *, stem: str = "map", **details: object) -> Path:
    """Write a map as stem.emi and stem_1.ser; the .emi file's path."""
    write_ser(folder / f"{stem}_1.ser", counts, **details)
    info = object_info(
        High_tension=("200", "kV"),
        Stage_X=("-12.5", "um"),
        Stage_Y=("3", "um"),
        Stage_Z=("0.5", "um"),
        Stage_A=("15.5", "deg"),
        Mode=(" STEM nP SA Zoom Diffraction", ""),
    )
    return write_emi(folder / f"{stem}.emi", info)
