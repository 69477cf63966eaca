"""The XML header of a .bcf file: what is known of its maps, and its images."""

from __future__ import annotations

import binascii
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree as ET

import numpy as np

from sigma_scale.readers.bruker.container import damaged

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Header", "Picture", "parse_header"]

_TEM_ABOVE_KEV = 30.0
"""The file doesn't say which kind of microscope it was; no SEM goes higher."""

_UM_PER_MM = 1000.0
_ITEM_TYPES: dict[str, np.dtype[Any]] = {
    "1": np.dtype("u1"),
    "2": np.dtype("<u2"),
    "4": np.dtype("<u4"),
}
_ASCII_XML = re.compile(rb"\s*<[?A-Za-z]")
_INSTANCE = "./ClassInstance[@Type='{}']"
_FORBIDDEN = b"<!DOCTYPE"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """
    An image.

    Parameters
    ----------
    title : str
        What it is called in the file, such as ``"BSE"``.
    data : array, shape (y, x), uint8, uint16 or uint32
        Grey values.
    pixel_um : tuple of float or None
        Height and width of a pixel in micrometres, where the image has a scale of its own.
    """

    title: str
    data: NDArray[Any]
    pixel_um: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Header:
    """
    What the XML says of one map.

    Parameters
    ----------
    name : str
        Name of the map, or an empty string.
    instrument : {"SEM", "TEM"}
        Guessed from the beam energy.
    map_shape : tuple of int or None
        Rows and columns of the images that were taken with the map.
    pixel_um : tuple of float or None
        Height and width of a pixel in micrometres.
    n_channels : int
        Channels of the sum spectrum, which are those of the map.
    scale_kev, offset_kev : float
        Energy axis.
    beam_energy_kev, elevation_deg, azimuth_deg, live_time_s, real_time_s : float or None
        See :class:`~sigma_scale.spectra.MapMetadata`.
    stage : dict of str to float
        Position by the names that MapMetadata gives it, as far as it is known.
    elements, lines : tuple of str
        Elements chosen in the vendor's program, and a line of each.
    pictures : tuple of Picture
        Images with content; those taken with the map come first.
    """

    name: str
    instrument: Literal["SEM", "TEM"]
    map_shape: tuple[int, int] | None
    pixel_um: tuple[float, float] | None
    n_channels: int
    scale_kev: float
    offset_kev: float
    beam_energy_kev: float | None
    elevation_deg: float | None
    azimuth_deg: float | None
    live_time_s: float | None
    real_time_s: float | None
    stage: dict[str, float]
    elements: tuple[str, ...]
    lines: tuple[str, ...]
    pictures: tuple[Picture, ...]


def parse_header(path: Path, xml: bytes, number: int) -> Header:
    """
    Read the header for the map ``SpectrumData<number>``.

    Raises
    ------
    FileFormatError
        If it can't be parsed or lacks what a map needs.
    """
    # Entities need a DOCTYPE; in an encoding of two bytes per character it would not be found.
    if _FORBIDDEN in xml or not _ASCII_XML.match(xml):
        raise damaged(path, "its header is no plain XML.")
    try:
        root = ET.fromstring(xml.rstrip(b"\0"))  # noqa: S314 -- entities are refused above
    except (ET.ParseError, LookupError, ValueError) as error:
        raise damaged(path, f"its header is no XML ({error}).") from error
    database = root.find(_INSTANCE.format("TRTSpectrumDatabase"))
    if database is None:
        raise damaged(path, "its header describes no map.")
    spectrum = database.find(f"./SpectrumData{number}/ClassInstance")
    if spectrum is None:
        raise damaged(path, f"its header doesn't describe the map SpectrumData{number}.")
    return _header(path, database, spectrum)


def _header(path: Path, database: ET.Element, spectrum: ET.Element) -> Header:
    calibration = _required(path, spectrum, _INSTANCE.format("TRTSpectrumHeader"))
    channels = _text(spectrum, "./Channels")
    scale = _number(calibration, "CalibLin")
    offset = _number(calibration, "CalibAbs")
    if not channels or scale is None or offset is None:
        raise damaged(path, "its header lacks the calibration or the channels of the map.")
    sem = database.find(_INSTANCE.format("TRTSEMData"))
    beam = _number(sem, "HV")
    analysis = spectrum.find("./TRTHeaderedClass/ClassInstance[@Type='TRTESMAHeader']")
    xrf = spectrum.find("./TRTHeaderedClass/ClassInstance[@Type='TRTXrfHeader']")
    hardware = spectrum.find("./TRTHeaderedClass/ClassInstance[@Type='TRTSpectrumHardwareHeader']")
    in_spectrum = _number(xrf, "Voltage") if xrf is not None else _number(analysis, "PrimaryEnergy")
    elevation = (
        _number(xrf, "ExcitationAngle") if xrf is not None else _number(analysis, "ElevationAngle")
    )
    live = _number(hardware, "LifeTime") if _number(hardware, "RealTime") is not None else None
    map_shape, pictures = _pictures(path, database)
    elements = _elements(database)
    return Header(
        name=database.get("Name", "").strip(),
        instrument="TEM" if beam is not None and beam > _TEM_ABOVE_KEV else "SEM",
        map_shape=map_shape,
        pixel_um=_pixel_um(sem, "DX", "DY"),
        n_channels=channels.count(",") + 1,
        scale_kev=scale,
        offset_kev=offset,
        beam_energy_kev=beam if in_spectrum is None else in_spectrum,
        elevation_deg=elevation,
        azimuth_deg=None if xrf is not None else _number(analysis, "AzimutAngle"),
        live_time_s=None if live is None else live / 1000,
        real_time_s=_real_time(database, map_shape),
        stage=_stage(database),
        elements=tuple(sorted(elements)),
        lines=tuple(sorted(f"{element}_{line}" for element, line in elements.items())),
        pictures=pictures,
    )


def _pictures(
    path: Path, database: ET.Element
) -> tuple[tuple[int, int] | None, tuple[Picture, ...]]:
    """Size of the map's images, and all images that aren't empty."""
    main = [
        node for node in database.findall(_INSTANCE.format("TRTImageData")) if not node.get("Name")
    ]
    shape = None
    pictures: list[Picture] = []
    if main:
        shape = _image_shape(path, main[-1])
        pictures += _planes(path, main[-1])
    if _number(database, "./Header/FileVersion") == 2:  # noqa: PLR2004
        overview = database.find(
            "./ClassInstance[@Type='TRTContainerClass']/ChildClassInstances"
            "/ClassInstance[@Name='OverviewImages']/ChildClassInstances"
            "/ClassInstance[@Type='TRTImageData']"
        )
        if overview is not None:
            pictures += _planes(path, overview)
    return shape, tuple(pictures)


def _image_shape(path: Path, node: ET.Element) -> tuple[int, int]:
    height, width = _number(node, "Height"), _number(node, "Width")
    if height is None or width is None:
        raise damaged(path, "an image in its header has no size.")
    return int(height), int(width)


def _planes(path: Path, node: ET.Element) -> list[Picture]:
    shape = _image_shape(path, node)
    dtype = _ITEM_TYPES.get((_text(node, "ItemSize") or "").strip())
    number = int(_number(node, "PlaneCount") or 0)
    scale = _pixel_um(node, "XCalibration", "YCalibration")
    pictures = []
    for index in range(min(number, len(node))):
        plane = _required(path, node, f"./Plane{index}")
        try:
            raw = binascii.a2b_base64(_text(plane, "./Data") or "")
        except (binascii.Error, ValueError) as error:
            raise damaged(path, f"an image in its header can't be read ({error}).") from error
        if dtype is None or len(raw) != shape[0] * shape[1] * dtype.itemsize:
            raise damaged(path, f"an image of {shape} pixels has {len(raw):,} bytes.")
        data = np.frombuffer(raw, dtype=dtype).reshape(shape)
        if data.any():
            title = (_text(plane, "./Description") or "").strip() or "image"
            pictures.append(Picture(title, data, scale))
    return pictures


def _elements(database: ET.Element) -> dict[str, str]:
    """Elements of the first list of them, with their lines as in ``"Ka"``."""
    regions = database.find(
        "./ClassInstance[@Type='TRTContainerClass']/ChildClassInstances"
        "/ClassInstance[@Type='TRTElementInformationList']"
        "/ClassInstance[@Type='TRTSpectrumRegionList']/ChildClassInstances"
    )
    found = {}
    for region in regions if regions is not None else ():
        name = region.get("Name", "").strip()
        if region.get("Type") == "TRTSpectrumRegion" and re.fullmatch(r"[A-Z][a-z]?", name):
            found[name] = _line_name((_text(region, "./Line") or "Ka").strip())
    return found


def _line_name(line: str) -> str:
    """Name of a line family in the usual spelling: ``"K"``, ``"KA"`` and ``"KA1"`` are Ka."""
    return (f"{line}a" if len(line) == 1 else line[:2]).capitalize()


def _stage(database: ET.Element) -> dict[str, float]:
    """Position of the stage; the file has micrometres and degrees."""
    node = database.find(_INSTANCE.format("TRTSEMStageData"))
    position = {}
    for axis in "XYZ":
        value = _number(node, axis)
        if value is not None:
            position[f"stage_{axis.lower()}_mm"] = value / _UM_PER_MM
    for name in ("Tilt", "Rotation"):
        value = _number(node, name)
        if value is not None:
            position[f"stage_{name.lower()}_deg"] = value
    return position


def _real_time(database: ET.Element, shape: tuple[int, int] | None) -> float | None:
    """Time in seconds: passes over each line times the time that a pixel took in each."""
    scan = database.find(_INSTANCE.format("TRTDSPConfiguration"))
    factors = [_number(scan, name) for name in ("LineAverage", "PixelAverage", "PixelTime")]
    counter = _text(database, "./LineCounter")
    if counter is None or shape is None or any(factor is None for factor in factors):
        return None
    try:
        passes = math.fsum(float(text) for text in counter.split(","))
    except ValueError:
        return None
    total = passes
    for factor in factors:
        total *= factor or 0.0
    total = total * shape[1] * 1e-6  # microseconds
    return total if math.isfinite(total) else None


def _pixel_um(node: ET.Element | None, x: str, y: str) -> tuple[float, float] | None:
    height, width = _number(node, y), _number(node, x)
    if height is None or width is None or height <= 0 or width <= 0:
        return None
    return height, width


def _required(path: Path, node: ET.Element, what: str) -> ET.Element:
    found = node.find(what)
    if found is None:
        raise damaged(path, f"its header lacks {what.strip('./')!r}.")
    return found


def _text(node: ET.Element | None, what: str) -> str | None:
    return None if node is None else node.findtext(what)


def _number(node: ET.Element | None, what: str) -> float | None:
    """Number in a node; some systems write a comma for the decimal point."""
    text = _text(node, what)
    if text is None:
        return None
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
