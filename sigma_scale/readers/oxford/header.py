"""
What the headers of an .h5oina file say.

Names and units of the entries are those of Oxford's specification [1]_: lengths of maps in
micrometres, of stages in millimetres, angles in radians, channels in eV.

References
----------
.. [1] https://github.com/oinanoanalysis/h5oina
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sigma_scale.errors import EmptyMapError, FileFormatError, ParameterError
from sigma_scale.readers.hdf5.files import groups_in, members_of
from sigma_scale.readers.hdf5.values import small_values
from sigma_scale.spectra import EnergyAxis, MapMetadata, SourceFile
from sigma_scale.spectra.metadata import DEFAULT_RESOLUTION_EV

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import h5py
    from numpy.typing import NDArray

__all__ = ["FORMAT", "Header"]

FORMAT = "Oxford .h5oina"

_MOST_CELLS = 2**31 - 1
_LARGEST_STROBE_EV = 200.0
_SEM_LIMIT_KV = 40.0
_MN_KA_EV = 5898.7
_FANO_SLOPE = 2.5  # eV^2 per eV, as in xray.fwhm_kev


@dataclass(frozen=True)
class Header:
    """
    Header of one technique of one slice.

    Parameters
    ----------
    path : pathlib.Path
        File, for messages.
    place : str
        Where in the file, such as ``"1/EDS/Header"``.
    values : mapping
        Entries by name; those of groups as ``"Stage Position/X"``.
    """

    path: Path
    place: str
    values: Mapping[str, NDArray[Any] | str]

    @classmethod
    def of(cls, path: Path, technique: h5py.Group) -> Header:
        """Read the header of a technique; it is empty where there is none."""
        place = f"{technique.name.strip('/')}/Header"
        group = groups_in(technique).get("Header")
        values = {} if group is None else _entries(group)
        if group is not None:
            for name, inner in groups_in(group).items():
                values |= {f"{name}/{key}": value for key, value in _entries(inner).items()}
        return cls(path, place, values)

    def number(self, name: str) -> float | None:
        """First number of an entry; None where it is missing or not finite."""
        numbers = self.numbers(name)
        return numbers[0] if numbers else None

    def numbers(self, name: str) -> tuple[float, ...]:
        """Numbers of an entry; none where it is missing or one is not finite."""
        value = self.values.get(name)
        if value is None:
            return ()
        try:
            numbers = tuple(float(item) for item in ([value] if isinstance(value, str) else value))
        except ValueError:
            return ()
        return numbers if all(map(math.isfinite, numbers)) else ()

    def text(self, name: str) -> str:
        """Text of an entry, or an empty one."""
        value = self.values.get(name)
        return value if isinstance(value, str) else ""

    def required(self, name: str) -> float:
        """
        Look up a number that nothing works without.

        Raises
        ------
        FileFormatError
            If it is missing or not a finite number.
        """
        value = self.number(name)
        if value is None:
            raise FileFormatError(
                f"{self.path}: {self.place} has no number {name!r}, without which the data can't "
                "be read. Export the map again."
            )
        return value

    def cells(self) -> tuple[int, int]:
        """
        Rows and columns of the map or image.

        Raises
        ------
        FileFormatError
            If they are missing or make no sense.
        EmptyMapError
            If there are no cells.
        """
        columns, rows = self.required("X Cells"), self.required("Y Cells")
        if rows != int(rows) or columns != int(columns) or max(rows, columns) > _MOST_CELLS:
            raise FileFormatError(
                f"{self.path} is damaged: {self.place} describes {rows:g} x {columns:g} cells."
            )
        if rows < 1 or columns < 1:
            raise EmptyMapError(
                f"{self.path}: {self.place} describes an empty map of {rows:g} x {columns:g} cells."
            )
        return int(rows), int(columns)

    def scale(self) -> dict[str, Any]:
        """Pixel size of a map and its unit, by these names; pixels where there is no scale."""
        size = self.pixel_size()
        if size is None:
            return {"pixel_size": (1.0, 1.0), "pixel_unit": "pixel"}
        return {"pixel_size": size, "pixel_unit": "µm"}

    def pixel_size(self) -> tuple[float, float] | None:
        """Height and width of a pixel in micrometres; a line scan has no height of its own."""
        width, height = self.number("X Step"), self.number("Y Step")
        if width is None or width <= 0:
            return None
        if height is None or height <= 0:
            height = width
        return height, width

    def energy_axis(self, channels: int) -> EnergyAxis:
        """
        Energy axis of spectra of so many channels.

        Raises
        ------
        FileFormatError
            If the width of the channels is missing or makes no sense, or another number of
            channels is given.
        """
        given = self.number("Number Channels")
        if given is not None and int(given) != channels:
            raise FileFormatError(
                f"{self.path} is damaged: {self.place} gives {given:g} channels, the spectra "
                f"have {channels}."
            )
        width = self.required("Channel Width")
        start = self.number("Start Channel") or 0.0
        try:
            return EnergyAxis(channels, width / 1000, start / 1000)
        except ParameterError as error:
            raise FileFormatError(f"{self.path}: {self.place}: {error}") from error

    def metadata(self, **details: Any) -> MapMetadata:
        """
        What the header tells of a map.

        Parameters
        ----------
        **details
            Further fields of :class:`~sigma_scale.spectra.MapMetadata`.

        Notes
        -----
        The strobe is the width that electronic noise alone gives a peak, at zero energy. The
        resolution at Mn Ka follows from it as widths do from the resolution in
        :func:`sigma_scale.xray.fwhm_kev`: ``R^2 = strobe^2 + 2.5 * E_MnKa``, in eV.
        """
        voltage = self.number("Beam Voltage")
        instrument: Literal["SEM", "TEM"] = (
            "TEM" if voltage is not None and voltage > _SEM_LIMIT_KV else "SEM"
        )
        labels = (self.text(f"{level} Label") for level in ("Specimen", "Site", "Analysis"))
        return MapMetadata(
            title=" ".join(label for label in labels if label) or self.path.stem,
            instrument=instrument,
            beam_energy_kev=voltage,
            resolution_mn_ka_ev=self._resolution(),
            elevation_deg=self._degrees("Detector Elevation"),
            azimuth_deg=self._degrees("Detector Azimuth"),
            stage_x_mm=self.number("Stage Position/X"),
            stage_y_mm=self.number("Stage Position/Y"),
            stage_z_mm=self.number("Stage Position/Z"),
            stage_tilt_deg=self._degrees("Stage Position/Tilt"),
            stage_rotation_deg=self._degrees("Stage Position/Rotation"),
            sources=(SourceFile.at(self.path),),
            **details,
        )

    def _degrees(self, name: str) -> float | None:
        value = self.number(name)
        return None if value is None else math.degrees(value)

    def _resolution(self) -> float:
        strobe = self.number("Strobe FWHM")
        if strobe is None or not 0 < strobe <= _LARGEST_STROBE_EV:
            return DEFAULT_RESOLUTION_EV
        return math.sqrt(strobe**2 + _FANO_SLOPE * _MN_KA_EV)


def _entries(group: h5py.Group) -> dict[str, NDArray[Any] | str]:
    import h5py

    found = {}
    for name, item in members_of(group).items():
        if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
            continue
        value = small_values(item)
        if value is not None:
            found[name] = value
    return found
