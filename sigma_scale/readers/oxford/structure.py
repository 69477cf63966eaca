"""What an .h5oina file holds: slices, the detectors of each, and which of them have spectra."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sigma_scale.errors import FileFormatError, NoSpectraError, ParameterError
from sigma_scale.readers.hdf5.files import groups_in, names_in, opened
from sigma_scale.readers.oxford.header import FORMAT, Header

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import h5py

__all__ = ["MAP_GROUPS", "Detector", "Slice", "choose_detectors", "choose_slice", "slices_of"]

MAP_GROUPS = ("Window Integral", "Peak Area", "Composition")
"""Groups of element maps, the one nearest to counts first."""

SPECTRUM = "Spectrum"
_IMAGE_KINDS = ("BSE", "SE", "FSE")


@dataclass(frozen=True)
class Detector:
    """
    One EDS technique: the data of one detector, or of all of them together.

    Parameters
    ----------
    number : int
        Number in its name; 1 where there is only ``EDS``.
    place : str
        Path of its group, such as ``"1/EDS1"``.
    header : Header
        Its header.
    datasets : frozenset of str
        Names of what is in its ``Data`` group itself.
    maps : dict of str to tuple of str
        Names of the element maps in each group of :data:`MAP_GROUPS` that is there.
    """

    number: int
    place: str
    header: Header
    datasets: frozenset[str]
    maps: dict[str, tuple[str, ...]]

    @property
    def has_spectra(self) -> bool:
        """Whether it has a spectrum for each pixel."""
        return SPECTRUM in self.datasets

    @property
    def has_maps(self) -> bool:
        """Whether it has element maps."""
        return any(self.maps.values())

    @property
    def spectra(self) -> str:
        """Path of the spectra."""
        return f"{self.place}/Data/{SPECTRUM}"


@dataclass(frozen=True)
class Slice:
    """
    One acquisition.

    Parameters
    ----------
    number : int
        Number of the slice.
    techniques : tuple of str
        Names of all its techniques, for messages.
    detectors : tuple of Detector
        Its EDS techniques, by number.
    image_header : Header or None
        Header of the electron images.
    electron_images : tuple of str
        Paths of the electron images, backscattered ones first.
    """

    number: int
    techniques: tuple[str, ...]
    detectors: tuple[Detector, ...]
    image_header: Header | None
    electron_images: tuple[str, ...]

    def describe(self) -> str:
        """Say in a few words what it holds."""
        parts = []
        for detector in self.detectors:
            kinds = [*(["spectra"] if detector.has_spectra else []), *detector.maps]
            parts.append(f"{detector.place.split('/')[-1]} ({', '.join(kinds) or 'no data'})")
        others = [name for name in self.techniques if not _detector_number(name)]
        return f"slice {self.number}: {', '.join([*parts, *others]) or 'nothing'}"


def slices_of(path: Path) -> tuple[Slice, ...]:
    """
    Read what a file holds, without its data.

    Raises
    ------
    FileFormatError
        If it is no HDF5 file or has no slices.
    """
    with opened(path, FORMAT) as file:
        groups = groups_in(file)
        numbers = sorted(int(name) for name in groups if re.fullmatch(r"[0-9]{1,9}", name))
        found = {int(name): group for name, group in groups.items() if name.isdecimal()}
        slices = tuple(_slice(path, number, found[number]) for number in dict.fromkeys(numbers))
    if not slices:
        raise FileFormatError(
            f"{path} is not an Oxford .h5oina file: it has no slices, groups named by a number."
        )
    return slices


def _slice(path: Path, number: int, group: h5py.Group) -> Slice:
    techniques = groups_in(group)
    numbered = {_detector_number(name): technique for name, technique in techniques.items()}
    numbered.pop(0, None)
    pictures = techniques.get("Electron Image")
    return Slice(
        number,
        tuple(techniques),
        tuple(_detector(path, key, numbered[key]) for key in sorted(numbered)),
        None if pictures is None else Header.of(path, pictures),
        () if pictures is None else _picture_places(pictures),
    )


def _detector_number(name: str) -> int:
    """Number of an EDS technique; 0 for another technique."""
    match = re.fullmatch(r"EDS([0-9]{0,6})", name)
    return 0 if match is None else int(match[1] or 1)


def _detector(path: Path, number: int, technique: h5py.Group) -> Detector:
    data = groups_in(technique).get("Data")
    kinds = {} if data is None else groups_in(data)
    return Detector(
        number,
        technique.name.strip("/"),
        Header.of(path, technique),
        frozenset() if data is None else frozenset(names_in(data)),
        {kind: tuple(names_in(kinds[kind])) for kind in MAP_GROUPS if kind in kinds},
    )


def _picture_places(technique: h5py.Group) -> tuple[str, ...]:
    data = groups_in(technique).get("Data")
    if data is None:
        return ()
    kinds = groups_in(data)
    return tuple(
        f"{kinds[kind].name.strip('/')}/{name}"
        for kind in _IMAGE_KINDS
        if kind in kinds
        for name in names_in(kinds[kind])
    )


def choose_slice(
    path: Path,
    slices: Sequence[Slice],
    number: int | None,
    fits: Callable[[Detector], bool],
    wanted: str = "EDS spectra for each pixel",
) -> Slice:
    """
    Choose a slice by number, or the first one with a detector that fits.

    Raises
    ------
    ParameterError
        If there is no slice of that number.
    NoSpectraError
        If nothing fits; the message says what is wanted and what the file holds instead.
    """
    chosen = [item for item in slices if number is None or item.number == number]
    if not chosen:
        there_are = ", ".join(str(item.number) for item in slices)
        raise ParameterError(f"{path} has no slice {number}; there are: {there_are}.")
    for item in chosen:
        if any(map(fits, item.detectors)):
            return item
    holds = "; ".join(item.describe() for item in chosen)
    raise NoSpectraError(f"{path} holds no {wanted}. It holds {holds}.{_remedy(chosen)}")


def _remedy(slices: Sequence[Slice]) -> str:
    """How what there is instead can be read."""
    detectors = [detector for item in slices for detector in item.detectors]
    if any(detector.has_spectra for detector in detectors):
        return " Its spectra can be read with sigma_scale.readers.read."
    if any(detector.has_maps for detector in detectors):
        return (
            " Its element maps can be read with sigma_scale.readers.read_element_maps, or opened "
            "as an ImageDataset."
        )
    return ""


def choose_detectors(
    path: Path,
    item: Slice,
    numbers: Sequence[int] | None,
    fits: Callable[[Detector], bool],
) -> tuple[Detector, ...]:
    """
    Choose detectors of a slice by their numbers, or all that fit.

    Raises
    ------
    ParameterError
        If one isn't there, is named twice, or none is named.
    """
    usable = {detector.number: detector for detector in item.detectors if fits(detector)}
    if numbers is None:
        return tuple(usable.values())
    there_are = ", ".join(map(str, usable))
    if not numbers or len({*numbers}) != len(numbers):
        raise ParameterError(
            f"detectors must name each detector to sum once, not {list(numbers)}; slice "
            f"{item.number} of {path} has {there_are}."
        )
    for number in numbers:
        if number not in usable:
            raise ParameterError(
                f"Slice {item.number} of {path} has no data of detector {number}; there are: "
                f"{there_are}."
            )
    return tuple(usable[number] for number in numbers)
