"""What is known of a map besides its counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_RESOLUTION_EV", "MapMetadata", "SourceFile"]

DEFAULT_RESOLUTION_EV = 130.0
"""Detector resolution at Mn Ka in eV where a file names none, as in HyperSpy."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """
    A file that a map was read from.

    Parameters
    ----------
    name : str
        File name without folders.
    size : int
        Size in bytes.
    sha256 : str
        Hash of its content.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MapMetadata:
    """
    Metadata of a spectrum image; None where a file does not say.

    Parameters
    ----------
    title : str
        Name of the map.
    instrument : {"SEM", "TEM"}
        Kind of microscope.
    beam_energy_kev : float, optional
        Beam energy in keV.
    resolution_mn_ka_ev : float
        Detector resolution (FWHM) at Mn Ka in eV.
    live_time_s : float, optional
        Live time of the whole map in seconds.
    real_time_s : float, optional
        Real time of the whole map in seconds.
    elevation_deg, azimuth_deg : float, optional
        Direction of the detector in degrees.
    elements : tuple of str
        Element symbols named by the file.
    lines : tuple of str
        X-ray lines named by the file, such as ``"Fe_Ka"``.
    sources : tuple of SourceFile
        Files that the map was read from.
    """

    title: str = ""
    instrument: Literal["SEM", "TEM"] = "SEM"
    beam_energy_kev: float | None = None
    resolution_mn_ka_ev: float = DEFAULT_RESOLUTION_EV
    live_time_s: float | None = None
    real_time_s: float | None = None
    elevation_deg: float | None = None
    azimuth_deg: float | None = None
    elements: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    sources: tuple[SourceFile, ...] = ()

    def to_attrs(self) -> dict[str, Any]:
        """Attributes for a store, JSON types only, without what is not known."""
        attrs = {name: value for name, value in asdict(self).items() if value is not None}
        attrs["elements"] = list(self.elements)
        attrs["lines"] = list(self.lines)
        attrs["sources"] = [asdict(source) for source in self.sources]
        return attrs

    @classmethod
    def from_attrs(cls, attrs: Mapping[str, Any]) -> Self:
        """Metadata from a store's attributes; unknown ones are passed over."""
        known = {field.name: attrs[field.name] for field in fields(cls) if field.name in attrs}
        for name in ("elements", "lines"):
            if name in known:
                known[name] = tuple(known[name])
        if "sources" in known:
            known["sources"] = tuple(SourceFile(**source) for source in known["sources"])
        return cls(**known)
