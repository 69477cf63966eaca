"""The metadata of ``.emi`` files: pieces of XML within a binary file."""

from __future__ import annotations

import mmap
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sigma_scale.readers.beside import length_um, number
from sigma_scale.readers.guard import decoding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ObjectInfo", "read_emi"]

_FORMAT = "TIA .emi"
_MAGIC = b"JK"
_START, _END = b"<ObjectInfo>", b"</ObjectInfo>"
_LONGEST = 2**20
_MOST_OBJECTS = 1000


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """
    What an ``.emi`` file tells of one detector.

    Parameters
    ----------
    entries : dict of str to (str, str)
        Text and unit by name, in lower case and without spaces.
    """

    entries: dict[str, tuple[str, str]]

    @property
    def detector(self) -> str:
        """All that names the detector."""
        keys = ("manufacturer", "detector", "camera")
        return " ".join(
            text for name, (text, _) in self.entries.items() if any(key in name for key in keys)
        )

    def value(self, *names: str) -> tuple[float | None, str]:
        """Number and unit of the first entry that there is."""
        for name in names:
            text, unit = self.entries.get(name, ("", ""))
            found = number(text)
            if found is not None:
                return found, unit.lower()
        return None, ""

    def metadata(self) -> dict[str, Any]:
        """Entries, named as in :class:`~sigma_scale.spectra.MapMetadata`."""
        found = {
            "beam_energy_kev": self._beam_energy_kev(),
            "live_time_s": self.value("livetime")[0],
            "real_time_s": self.value("realtime")[0],
            "elevation_deg": self.value("elevation", "elevationangle", "detectorelevation")[0],
            "azimuth_deg": self.value("azimuth", "azimuthangle", "detectorazimuth")[0],
            "stage_x_mm": self._stage_mm("stagex"),
            "stage_y_mm": self._stage_mm("stagey"),
            "stage_z_mm": self._stage_mm("stagez"),
            "stage_tilt_deg": self.value("stagea")[0],
        }
        return {name: value for name, value in found.items() if value is not None}

    def _beam_energy_kev(self) -> float | None:
        value, unit = self.value("hightension")
        if value is None:
            value, unit = self.value("acceleratingvoltage")
            unit = unit or "v"
        return value / 1e3 if value is not None and unit == "v" else value

    def _stage_mm(self, name: str) -> float | None:
        value, unit = self.value(name)
        micrometres = length_um(1.0, unit or "um")
        return None if value is None or micrometres is None else value * micrometres / 1e3


def read_emi(path: Path) -> list[ObjectInfo]:
    """
    Read the metadata of an ``.emi`` file, one entry for each ``.ser`` file and more.

    Raises
    ------
    FileFormatError
        If it is no such file, or its XML is damaged or names a document type.
    """
    with decoding(path, _FORMAT), path.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("it does not begin as such files do")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return [_object_info(text) for text in _texts(content)]


def _texts(content: mmap.mmap) -> Iterator[bytes]:
    start = content.find(_START)
    for _ in range(_MOST_OBJECTS):
        if start < 0:
            return
        end = content.find(_END, start, start + _LONGEST)
        if end < 0:
            raise ValueError(f"its XML at byte {start} has no end")
        yield content[start : end + len(_END)]
        start = content.find(_START, end)


def _object_info(content: bytes) -> ObjectInfo:
    if b"<!" in content:  # document types and entities, which can grow without bound
        raise ValueError("its XML names a document type")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    entries: dict[str, tuple[str, str]] = {}
    for node in ET.fromstring(text).iter():  # noqa: S314 -- no document type, size is bounded
        if node.tag == "Data":
            name, value, unit = (node.findtext(key) or "" for key in ("Label", "Value", "Unit"))
            entries.setdefault(_plain(name), (value.strip(), unit.strip()))
        elif len(node) == 0 and node.text and node.tag not in ("Label", "Value", "Unit"):
            entries.setdefault(_plain(node.tag), (node.text.strip(), ""))
    return ObjectInfo(entries)


def _plain(name: str) -> str:
    return re.sub(r"\s+", "", name).lower()
