"""What is known of a map besides its counts."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from sigma_scale.errors import FileFormatError
from sigma_scale.files import digest_of, fingerprint_of, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

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
    digest : str, optional
        Hash of its content, with the algorithm before it: ``"blake3:..."``, or ``"sha256:..."``
        in older stores. It takes long for large files, so it is worked out when the map is
        written to a store.
    path : pathlib.Path, optional
        Where the file is; not kept in a store, where it would mean nothing on another machine.
    """

    name: str
    size: int
    digest: str | None = None
    path: Path | None = field(default=None, compare=False, repr=False)

    @classmethod
    def at(cls, path: Path) -> Self:
        """
        File or folder at a path, not hashed yet.

        Raises
        ------
        FileFormatError
            If it can't be looked at.
        """
        try:
            return cls(path.name, size_of(path), path=path)
        except OSError as error:
            raise FileFormatError(f"{path} can't be read: {error}") from error

    def hashed(self, report: Callable[[int], object] | None = None) -> Self:
        """
        Same file with its hash.

        Parameters
        ----------
        report : callable, optional
            Called with the number of bytes each time that some have been read.

        Raises
        ------
        FileFormatError
            If it can't be read.
        """
        if self.digest is not None or self.path is None:
            return self
        try:
            return replace(self, digest=digest_of(self.path, report))
        except OSError as error:
            raise FileFormatError(f"{self.path} can't be read: {error}") from error

    def fingerprint(self) -> str:
        """
        What tells the file from others; without reading all of it where it is at hand.

        Raises
        ------
        FileFormatError
            If it can't be read.
        """
        if self.path is None:
            return f"{self.name} {self.size} {self.digest}"
        try:
            return f"{self.name} {fingerprint_of(self.path)}"
        except OSError as error:
            raise FileFormatError(f"{self.path} can't be read: {error}") from error

    def to_attrs(self) -> dict[str, Any]:
        """Name, size and hash, as far as they are known."""
        attrs: dict[str, Any] = {"name": self.name, "size": self.size}
        return attrs if self.digest is None else {**attrs, "digest": self.digest}

    @classmethod
    def from_attrs(cls, attrs: Mapping[str, Any]) -> Self:
        """File from a store's attributes; unknown ones are passed over."""
        digest = attrs.get("digest")
        if digest is None and "sha256" in attrs:  # as stores had it before BLAKE3
            digest = f"sha256:{attrs['sha256']}"
        return cls(attrs["name"], attrs["size"], digest)


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
    stage_x_mm, stage_y_mm, stage_z_mm : float, optional
        Position of the stage in millimetres.
    stage_tilt_deg, stage_rotation_deg : float, optional
        Tilt and rotation of the stage in degrees.
    elements : tuple of str
        Element symbols named by the file.
    lines : tuple of str
        X-ray lines named by the file, such as ``"Fe_Ka"``.
    sources : tuple of SourceFile
        Files that the map was read from.
    selection : mapping, optional
        What was read of files that hold more than one map: options of the reader, JSON types.
    """

    title: str = ""
    instrument: Literal["SEM", "TEM"] = "SEM"
    beam_energy_kev: float | None = None
    resolution_mn_ka_ev: float = DEFAULT_RESOLUTION_EV
    live_time_s: float | None = None
    real_time_s: float | None = None
    elevation_deg: float | None = None
    azimuth_deg: float | None = None
    stage_x_mm: float | None = None
    stage_y_mm: float | None = None
    stage_z_mm: float | None = None
    stage_tilt_deg: float | None = None
    stage_rotation_deg: float | None = None
    elements: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    sources: tuple[SourceFile, ...] = ()
    selection: Mapping[str, Any] = field(default_factory=dict)

    def to_attrs(self) -> dict[str, Any]:
        """Attributes for a store, JSON types only, without what is not known."""
        attrs = {
            entry.name: value
            for entry in fields(self)
            if (value := getattr(self, entry.name)) is not None
        }
        attrs["elements"] = list(self.elements)
        attrs["lines"] = list(self.lines)
        attrs["sources"] = [source.to_attrs() for source in self.sources]
        attrs["selection"] = dict(self.selection)
        return attrs

    def measured_with(self) -> dict[str, Any]:
        """Attributes of spectra that tell how they were measured, without what is not known."""
        names = ("instrument", "beam_energy_kev", "resolution_mn_ka_ev")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def with_hashes(self, report: Callable[[int], object] | None = None) -> Self:
        """
        Metadata with the hashes of the source files.

        Parameters
        ----------
        report : callable, optional
            Called with the number of bytes each time that some have been read.

        Raises
        ------
        FileFormatError
            If a file can't be read.
        """
        return replace(self, sources=tuple(source.hashed(report) for source in self.sources))

    @classmethod
    def from_attrs(cls, attrs: Mapping[str, Any]) -> Self:
        """Metadata from a store's attributes; unknown ones are passed over."""
        known = {entry.name: attrs[entry.name] for entry in fields(cls) if entry.name in attrs}
        for name in ("elements", "lines"):
            if name in known:
                known[name] = tuple(known[name])
        if "sources" in known:
            known["sources"] = tuple(map(SourceFile.from_attrs, known["sources"]))
        return cls(**known)
