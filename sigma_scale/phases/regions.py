"""Connected regions of phases, over maps of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ParameterError
from sigma_scale.phases.label_bands import LabelBands, as_label_map, prepare, row_bands

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["FoundRegions", "find_regions", "region_labels"]


def region_labels(
    labels: Any,
    *,
    connectivity: int = 2,
    noise: bool = False,
    phases: Iterable[int] | None = None,
) -> xr.DataArray:
    """
    Number the connected regions of all phases over the whole map.

    Parameters
    ----------
    labels : xarray.DataArray, dask or NumPy array, shape (y, x), integer
        Cluster of each pixel; negative ones are noise.
    connectivity : {2, 1}, default: 2
        2: pixels that share a corner belong together; 1: only those that share an edge.
    noise : bool, default: False
        Whether noise has regions too, as a phase of its own.
    phases : iterable of int, optional
        Only regions of these phases. None: of all.

    Returns
    -------
    xarray.DataArray, shape (y, x), int32 (int64 from 2^31 regions on)
        Number of each pixel's region, from 1 upward by the first pixel of each region in
        row-major order; 0 where there is none. Lazy where the labels are; these are read once
        at once to find the regions, and again when the result is computed.

    Raises
    ------
    ParameterError
        If the labels are not whole numbers with the dimensions (y, x), or the connectivity is not
        1 or 2.
    EmptyMapError
        If the map has no pixels.
    MemoryLimitError
        If the result, or the bookkeeping of very many regions, would not fit.
    """
    import xarray as xr

    found = find_regions(labels, connectivity=connectivity, noise=noise, phases=phases)
    source = found.bands.labels
    data: Any
    if source.chunks is None:
        compute.check_memory(
            source.size * found.numbers.itemsize,
            what="A map of regions",
            remedy="Give the labels as a Dask array, and the result is lazy.",
        )
        data = np.empty(source.shape, found.numbers.dtype)
        for (start, stop), (_, regions) in zip(found.bands.limits, found, strict=True):
            data[start:stop] = regions
    else:
        data = _lazy_regions(found)
    return xr.DataArray(
        data,
        dims=("y", "x"),
        coords={name: source.coords[name] for name in ("y", "x") if name in source.coords},
        name="region",
        attrs={"recipe": found.recipe("region_labels")},
    )


@dataclass(frozen=True)
class FoundRegions:
    """
    Where the regions of a map are, with memory for their numbers only.

    Attributes
    ----------
    bands : LabelBands
        The map, band by band.
    connectivity : int
        1 or 2.
    offsets : array, shape (bands + 1,), int64
        Regions of all bands before each band, each band taken by itself.
    numbers : array, shape (regions of all bands,), int32 or int64
        Number in the whole map, from 1, of each region of each band.
    count : int
        Regions of the whole map.
    """

    bands: LabelBands
    connectivity: int
    offsets: NDArray[np.int64]
    numbers: NDArray[Any]
    count: int

    def __iter__(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Labels and region numbers (0 for none) of each band, from the top down."""
        for index, values in enumerate(self.bands):
            yield values, self.regions(index, values)

    def regions(self, index: int, values: NDArray[Any]) -> NDArray[Any]:
        """
        Number the pixels of a band by their regions.

        Parameters
        ----------
        index : int
            Number of the band.
        values : array, shape (y, x)
            Its labels, as the bands give them.

        Raises
        ------
        ParameterError
            If the labels are no longer those in which the regions were found.
        """
        first, last = self.offsets[index], self.offsets[index + 1]
        return _numbered(values, self.numbers[first:last], self.connectivity)

    def recipe(self, function: str) -> dict[str, Any]:
        """How the regions were found, as plain values."""
        recipe: dict[str, Any] = {
            "function": f"sigma_scale.phases.{function}",
            "connectivity": self.connectivity,
            "noise": self.bands.noise,
            "phases": None if self.bands.phases is None else list(self.bands.phases),
        }
        if "recipe" in self.bands.labels.attrs:
            recipe["labels"] = self.bands.labels.attrs["recipe"]
        return recipe


def find_regions(
    labels: Any,
    *,
    connectivity: int = 2,
    noise: bool = False,
    phases: Iterable[int] | None = None,
    beside: Any = None,
    band_pixels: int | None = None,
) -> FoundRegions:
    """
    Find the connected regions in one pass over a label map.

    Parameters
    ----------
    labels, connectivity, noise, phases
        See :func:`region_labels`.
    beside : array, optional
        What else will be read with the labels; where it is lazy, its chunks shape the bands.
    band_pixels : int, optional
        Pixels of a band, about.

    Returns
    -------
    FoundRegions

    Raises
    ------
    ParameterError, EmptyMapError, MemoryLimitError
        See :func:`region_labels`.
    """
    source = as_label_map(labels)
    if connectivity not in {1, 2}:
        raise ParameterError(
            f"connectivity must be 2 (edges and corners) or 1 (edges only), got {connectivity!r}."
        )
    chosen = None if phases is None else _as_phases(phases)
    limits = row_bands(source.shape, [source.data, beside], pixels=band_pixels)
    bands = LabelBands(source, limits, noise, chosen)
    offsets, parent = _joined(bands, diagonal=connectivity == 2)  # noqa: PLR2004
    from sigma_scale.phases.regions_kernels import number_roots

    few = len(parent) < np.iinfo(np.int32).max
    numbers = np.empty(len(parent), np.int32 if few else np.int64)
    count = number_roots(parent, numbers)
    return FoundRegions(bands, int(connectivity), offsets, numbers, count)


def _as_phases(phases: Iterable[int]) -> tuple[int, ...]:
    chosen = np.asarray(list(phases))
    if chosen.ndim != 1 or chosen.size == 0 or chosen.dtype.kind not in "iu" or chosen.min() < 0:
        raise ParameterError(
            f"phases must be some whole numbers from 0 upward, such as [0, 2], got "
            f"{chosen.tolist()}. Noise has regions with noise=True."
        )
    return tuple(sorted(set(chosen.tolist())))


def _joined(bands: LabelBands, *, diagonal: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Regions of each band by itself, counted, and those that are one joined as a forest."""
    from sigma_scale.phases.regions_kernels import join_rows, label_band

    offsets = [0]
    parent = np.empty(2**12, np.int64)
    above: tuple[NDArray[Any], NDArray[np.int64]] | None = None
    for values in bands:
        local = np.empty(values.shape, np.int32)
        n, before = label_band(values, diagonal, local), offsets[-1]
        parent = _with_room(parent, before, before + n)
        parent[before : before + n] = np.arange(before, before + n)
        if above is not None:
            join_rows(*above, values[0], local[0].astype(np.int64) + before, diagonal, parent)
        above = (values[-1].copy(), local[-1].astype(np.int64) + before)
        offsets.append(before + n)
    return np.array(offsets), parent[: offsets[-1]]


def _with_room(array: NDArray[np.int64], used: int, needed: int) -> NDArray[np.int64]:
    """Make room for more entries, doubling it so that copies are few."""
    if needed <= len(array):
        return array
    size = max(needed, 2 * len(array))
    compute.check_memory(
        (size + len(array)) * array.itemsize,
        what=f"Telling apart more than {used:,} regions",
        remedy="Are these labels of phases? Smooth them first, or give some of the phases.",
    )
    larger = np.empty(size, array.dtype)
    larger[:used] = array[:used]
    return larger


def _numbered(values: NDArray[Any], numbers: NDArray[Any], connectivity: int) -> NDArray[Any]:
    from sigma_scale.phases.regions_kernels import label_band, renumber

    local = np.empty(values.shape, np.int32)
    if label_band(values, connectivity == 2, local) != len(numbers):  # noqa: PLR2004
        raise ParameterError(
            "The labels changed between two passes over them. Compute or save them first."
        )
    regions = np.empty(values.shape, numbers.dtype)
    renumber(local, numbers, regions)
    return regions


def _lazy_regions(found: FoundRegions) -> Any:
    """Map of the regions as a Dask array, a block for each band."""
    import dask.array as da
    from dask.delayed import delayed

    bands, width = found.bands, found.bands.labels.shape[1]
    task = delayed(_regions_of, pure=True)
    blocks = []
    for (start, stop), first, last in zip(
        bands.limits, found.offsets[:-1], found.offsets[1:], strict=True
    ):
        block = task(
            bands.labels.data[start:stop],
            found.numbers[first:last],
            found.connectivity,
            bands.noise,
            bands.phases,
        )
        shape = (stop - start, width)
        blocks.append(da.from_delayed(block, shape, dtype=found.numbers.dtype))
    return da.concatenate(blocks, axis=0)


def _regions_of(
    values: NDArray[Any],
    numbers: NDArray[Any],
    connectivity: int,
    noise: bool,  # noqa: FBT001
    phases: tuple[int, ...] | None,
) -> NDArray[Any]:
    return _numbered(prepare(values, noise=noise, phases=phases), numbers, connectivity)
