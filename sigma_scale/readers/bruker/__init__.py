"""
Bruker composite files (.bcf).

The counts are decoded from the stream of X-ray pulses to events block by block; a dense cube is
never made. See :mod:`~sigma_scale.readers.bruker.container` for the file system inside the file,
:mod:`~sigma_scale.readers.bruker.kernels` for the stream and
:mod:`~sigma_scale.readers.bruker.header` for the rest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import (
    EmptyMapError,
    NoSpectraError,
    ParameterError,
)
from sigma_scale.readers.bruker.container import FORMAT, InnerFile, damaged, open_container
from sigma_scale.readers.bruker.header import Header, parse_header
from sigma_scale.readers.bruker.index import stream_shape
from sigma_scale.readers.bruker.source import BrukerSource, chunk_shape_of
from sigma_scale.readers.bruker.streams import content_of, pieces_of
from sigma_scale.readers.guard import check_plausible, decoding, require_file
from sigma_scale.readers.signals import unused_name
from sigma_scale.spectra import EnergyAxis, MapMetadata, SourceFile, SpectrumImage
from sigma_scale.spectra.events import check_counts
from sigma_scale.spectra.image import NAVIGATION

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

__all__ = ["read"]

_HEADER = "EDSDatabase/HeaderData"
_MAP = re.compile(r"EDSDatabase/SpectrumData(\d+)")
_NAMELESS = ("", "Undefined", "Map data")
_FEW_CHANNELS = 2048
"""Maps of fewer channels are as plausible as ones of so many; the index has an entry per line."""

_XML_BYTES = 64 * 2**20
_XML_RATIO = 64
_LARGEST_XML = 2**31


def read(path: Path, *, index: int = 0) -> SpectrumImage:
    """
    Open a map of a .bcf file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    index : int, default: 0
        Which of its maps, if it holds several, counted from 0.

    Returns
    -------
    SpectrumImage
        With the first image of the map's size as navigation image. Counts are read when they are
        asked for.

    Raises
    ------
    SourceNotFoundError
        If there is no file.
    FileFormatError
        If the file is damaged or not a Bruker file.
    NoSpectraError
        If it holds no EDS map.
    EmptyMapError
        If the map has no pixels.
    ParameterError
        If there is no map of that index.
    """
    require_file(path, FORMAT)
    with decoding(path, FORMAT):
        files = open_container(path)
        number = _map_number(path, files, index)
        if _HEADER not in files:
            raise damaged(path, "its header is missing.")
        header = parse_header(path, _xml(path, files[_HEADER]), number)
        source = _source(path, files[f"EDSDatabase/SpectrumData{number}"], header)
        try:
            energy = EnergyAxis(header.n_channels, header.scale_kev, header.offset_kev)
            check_counts(np.dtype(np.uint8), header.n_channels)
        except ParameterError as error:
            raise damaged(path, str(error)) from error
        return SpectrumImage(
            source,
            energy,
            pixel_size=header.pixel_um or (1.0, 1.0),
            pixel_unit="pixel" if header.pixel_um is None else "µm",
            metadata=_metadata(path, header, index),
            images=_images(header, source.shape[:2]),
        )


def _map_number(path: Path, files: dict[str, InnerFile], index: int) -> int:
    numbers = sorted(int(match[1]) for name in files if (match := _MAP.fullmatch(name)))
    if not numbers:
        listing = ", ".join(sorted(files)) or "nothing"
        raise NoSpectraError(f"{path} holds no EDS map. It holds: {listing}.")
    if index not in range(len(numbers)):
        there_are = "one map, index 0" if len(numbers) == 1 else f"{len(numbers)} maps, from 0 on"
        raise ParameterError(f"There is no map of index {index!r} in {path}: it has {there_are}.")
    return numbers[index]


def _xml(path: Path, inner: InnerFile) -> bytes:
    """Header, as long as its size is in proportion to what is stored."""
    most = min(_XML_BYTES + _XML_RATIO * inner.size, _LARGEST_XML)
    parts, size = [], 0
    for piece in pieces_of(content_of(inner)):
        size += piece.size
        if size > most:
            raise damaged(path, f"its header inflates to more than {most:,} bytes.")
        parts.append(piece)
    return b"".join(part.data for part in parts)


def _source(path: Path, inner: InnerFile, header: Header) -> BrukerSource:
    content = content_of(inner)
    stored = stream_shape(path, content)
    rows, columns = header.map_shape or stored
    if min(rows, columns) < 1:
        raise EmptyMapError(f"{path}: the map has no pixels: {rows} x {columns}.")
    if stored[0] > rows or stored[1] > columns:
        raise damaged(
            path,
            f"its map has {stored[0]} x {stored[1]} pixels, its header says {rows} x {columns}.",
        )
    check_plausible(
        path, rows * columns * max(header.n_channels, _FEW_CHANNELS), path.stat().st_size
    )
    chunk_shape = chunk_shape_of(content, rows, columns)
    return BrukerSource(path, content, (rows, columns, header.n_channels), stored, chunk_shape)


def _metadata(path: Path, header: Header, index: int) -> MapMetadata:
    return MapMetadata(
        title=path.stem if header.name in _NAMELESS else header.name,
        instrument=header.instrument,
        beam_energy_kev=header.beam_energy_kev,
        live_time_s=header.live_time_s,
        real_time_s=header.real_time_s,
        elevation_deg=header.elevation_deg,
        azimuth_deg=header.azimuth_deg,
        elements=header.elements,
        lines=header.lines,
        sources=(SourceFile.at(path),),
        selection={"index": index},
        **header.stage,
    )


def _images(header: Header, map_shape: tuple[int, ...]) -> dict[str, xr.DataArray]:
    """Images by their titles; the first of the map's size is the navigation image."""
    import xarray as xr

    images: dict[str, xr.DataArray] = {}
    for picture in header.pictures:
        image = xr.DataArray(picture.data, dims=("y", "x"), attrs={"long_name": picture.title})
        if picture.data.shape == map_shape and NAVIGATION not in images:
            images[NAVIGATION] = image
            continue
        if picture.data.shape != map_shape and picture.pixel_um is not None:
            for dim, size, step in zip(("y", "x"), image.shape, picture.pixel_um, strict=True):
                image = image.assign_coords({dim: (dim, np.arange(size) * step, {"units": "µm"})})
        images[unused_name(picture.title, images)] = image
    return images
