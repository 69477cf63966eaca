"""Element maps of an .h5oina file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.guard import require_file
from sigma_scale.readers.oxford.header import FORMAT
from sigma_scale.readers.oxford.images import flat_image, images_of, total_times
from sigma_scale.readers.oxford.lines import in_order, names_of
from sigma_scale.readers.oxford.structure import (
    MAP_GROUPS,
    Detector,
    choose_detectors,
    choose_slice,
    slices_of,
)
from sigma_scale.spectra.element_maps import ElementMaps
from sigma_scale.spectra.image import NAVIGATION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import xarray as xr

    from sigma_scale.readers.oxford.lines import MapName

__all__ = ["read_maps"]

_UNITS = {"Window Integral": "counts/s", "Peak Area": "counts/s", "Composition": "wt%"}
_COMPOSITION = "Composition"


def read_maps(
    path: Path, *, slice_number: int | None = None, detectors: Sequence[int] | None = None
) -> ElementMaps:
    """
    Read the element maps of an .h5oina file.

    Those nearest to counts are taken: ``Window Integral``, else ``Peak Area``, else
    ``Composition``.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    slice_number : int, optional
        Which acquisition; by default the first that has element maps.
    detectors : sequence of int, optional
        Detectors whose count rates are summed; by default all that have element maps.

    Returns
    -------
    ElementMaps
        Of float32, lazy if they are large, NaN where nothing was acquired.

    Raises
    ------
    NoSpectraError
        If there are no element maps.
    ParameterError
        If there is no such slice or detector.
    FileFormatError
        If the file is damaged, or the detectors can't be summed.
    """
    require_file(path, FORMAT)
    chosen = choose_slice(path, slices_of(path), slice_number, _has_maps, "element maps")
    used = choose_detectors(path, chosen, detectors, _has_maps)
    header = used[0].header
    shape = header.cells()
    kind = _common_kind(path, used)
    names = names_of(path, used[0], kind)
    images = images_of(path, chosen, used, shape)
    elements, lines = in_order(names.values())
    navigation = images.pop(NAVIGATION, None)
    return ElementMaps(
        _stack(path, used, kind, names, shape),
        navigation,
        images,
        metadata=header.metadata(elements=elements, lines=lines, **total_times(images)),
        **header.scale(),
    )


def _has_maps(detector: Detector) -> bool:
    return detector.has_maps


def _common_kind(path: Path, detectors: Sequence[Detector]) -> str:
    """Kind of maps that all detectors have of the same lines."""
    kind = next(kind for kind in MAP_GROUPS if any(d.maps.get(kind) for d in detectors))
    if len(detectors) == 1:
        return kind
    numbers = [detector.number for detector in detectors]
    same = len({(d.maps.get(kind), d.header.cells()) for d in detectors}) == 1
    if not same or kind == _COMPOSITION:
        what = "different element maps" if not same else "compositions"
        raise FileFormatError(
            f"{path}: the detectors {numbers} have {what}, which can't be summed. Choose one with "
            f"detectors=[{numbers[0]}]."
        )
    return kind


def _stack(
    path: Path,
    detectors: Sequence[Detector],
    kind: str,
    names: dict[str, MapName],
    shape: tuple[int, int],
) -> xr.DataArray:
    import xarray as xr

    maps = []
    for own in names:
        parts = [
            flat_image(path, f"{d.place}/Data/{kind}/{own}", shape, together=len(names))
            for d in detectors
        ]
        total = parts[0] if len(parts) == 1 else sum(parts[1:], parts[0])
        maps.append(total.astype(np.float32))
    stacked = xr.concat(maps, dim="line", combine_attrs="drop").transpose("y", "x", "line")
    return stacked.assign_coords(line=_unique(names)).assign_attrs(units=_UNITS[kind], kind=kind)


def _unique(names: dict[str, MapName]) -> list[str]:
    """Names of the maps; the datasets' own names where two would be the same."""
    short = [name.name for name in names.values()]
    return short if len({*short}) == len(short) else list(names)
