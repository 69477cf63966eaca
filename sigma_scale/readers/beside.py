"""Text files beside a map, and what they say of its axes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.guard import decoding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

__all__ = ["Calibration", "find_beside", "length_um", "number", "read_text", "same_stem"]

_MOST_BYTES = 2**18
"""More than any header takes; the spectrum that may follow it isn't needed."""

_MOST_CANDIDATES = 200

_MICROMETRES = {
    "pm": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "nm": 1e-3,
    "nanometers": 1e-3,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometers": 1.0,
    "micrometre": 1.0,
    "micrometres": 1.0,
    "mm": 1e3,
    "millimeters": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "meter": 1e6,
    "meters": 1e6,
    "metres": 1e6,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """
    What one file says of a map's axes; None where it does not say.

    Parameters
    ----------
    channel_width_ev : float, optional
        Width of a channel in eV.
    offset_ev : float, optional
        Energy of channel 0 in eV.
    n_channels : int, optional
        Number of channels that the file is about.
    pixel_height_um, pixel_width_um : float, optional
        Size of a pixel in micrometres.
    metadata : mapping
        Further entries, named as in :class:`~sigma_scale.spectra.MapMetadata`.
    """

    channel_width_ev: float | None = None
    offset_ev: float | None = None
    n_channels: int | None = None
    pixel_height_um: float | None = None
    pixel_width_um: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def completed_by(self, other: Calibration) -> Self:
        """Fill what is missing here from another file."""
        missing = {
            entry.name: getattr(other, entry.name)
            for entry in fields(self)
            if getattr(self, entry.name) is None
        }
        return replace(self, **missing, metadata={**other.metadata, **self.metadata})


def number(text: str | None) -> float | None:
    """First number of a text, with a decimal point or comma; None if it has none."""
    found = re.search(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?", text or "")
    if found is None:
        return None
    value = float(found[0].replace(",", "."))
    return value if math.isfinite(value) else None


def length_um(value: float | None, unit: str | None) -> float | None:
    """Length in micrometres, without its sign; None if it is zero or the unit is no length."""
    factor = _MICROMETRES.get((unit or "").strip().lower().replace("μ", "u").replace("µ", "u"))
    if value is None or factor is None:
        return None
    length = abs(value) * factor
    return length if 0 < length < math.inf else None


def read_text(path: Path, most_bytes: int = _MOST_BYTES) -> str:
    """
    Beginning of a text file.

    Raises
    ------
    FileFormatError
        If it can't be read.
    """
    with decoding(path, "text"), path.open("rb") as stream:
        content = stream.read(most_bytes)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def find_beside(
    path: Path, suffixes: Iterable[str], accept: Callable[[Path], bool] | None = None
) -> Path | None:
    """
    Find the file that belongs to another: of the same stem, or the only one of its folder.

    Parameters
    ----------
    path : pathlib.Path
        File whose companion is looked for.
    suffixes : iterable of str
        Endings in lower case; files are found whatever the case of theirs.
    accept : callable, optional
        Whether a file is of the kind that is looked for; one that can't be read is not.

    Raises
    ------
    FileFormatError
        If the folder can't be listed.
    """
    wanted = set(suffixes)
    with decoding(path.parent, "map"):
        beside = sorted(
            file
            for file in path.parent.iterdir()
            if file.suffix.lower() in wanted and file != path and file.is_file()
        )
    same = [file for file in beside if same_stem(file, path)]
    for candidates in (same, beside):
        found = [f for f in candidates[:_MOST_CANDIDATES] if accept is None or _accepted(f, accept)]
        if found and (candidates is same or len(found) == 1):
            return found[0]
    return None


def same_stem(first: Path, second: Path) -> bool:
    """Whether two files are called the same but for their endings and the case of letters."""
    return first.stem.lower() == second.stem.lower()


def _accepted(path: Path, accept: Callable[[Path], bool]) -> bool:
    try:
        return accept(path)
    except FileFormatError:
        return False
