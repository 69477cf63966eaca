"""Passes over a map: how it is cut into regions, and a function called once for each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale.spectra.regions import RegionPlan, split_axis
from sigma_scale.spectra.source import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    import dask.array as da
    from numpy.typing import NDArray

    from sigma_scale.spectra.events import EventBlock
    from sigma_scale.spectra.source import BlockSource

__all__ = [
    "PlacedBlock",
    "blocks_of_region",
    "lazy_pass",
    "plan_regions",
]

_REGIONS = 32
_REGION_SIDES = (256, 1024)
"""A map is cut into about so many regions, each a task, of sides in pixels between these."""


class PlacedBlock(NamedTuple):
    """A block and the part of it that a region uses."""

    block: EventBlock
    origin: tuple[int, int]
    """Row and column in the map of the block's first pixel."""
    window: tuple[int, int, int, int]
    """First and last-plus-one row, first and last-plus-one column of the block to use."""


def blocks_of_region(
    source: BlockSource, limits: tuple[int, int, int, int], scratch: Scratch | None = None
) -> Iterator[PlacedBlock]:
    """
    Read the blocks that overlap a region, one after the other.

    A block is good until the next one is read.

    Parameters
    ----------
    source : BlockSource
        The map's counts.
    limits : tuple of int
        First and last-plus-one row and column of the region in pixels.
    scratch : Scratch, optional
        Memory for the blocks.
    """
    top, bottom, left, right = limits
    height, width = source.chunk_shape
    scratch = scratch or Scratch()
    for i in range(top // height, -(-bottom // height)):
        for j in range(left // width, -(-right // width)):
            y, x = i * height, j * width
            window = (
                max(top - y, 0),
                min(bottom - y, height),
                max(left - x, 0),
                min(right - x, width),
            )
            yield PlacedBlock(source.read_block(i, j, scratch), (y, x), window)


def plan_regions(
    source: BlockSource,
    bin_factors: tuple[int, int],
    *,
    limits: tuple[int, int, int, int] | None = None,
    target: int | None = None,
) -> RegionPlan:
    """
    Cut a map into regions for work that bins by ``bin_factors`` (y, x).

    Parameters
    ----------
    source : BlockSource
        The map's counts.
    bin_factors : tuple of int
        Pixels per bin in y and x.
    limits : tuple of int, optional
        First and last-plus-one row and column of a region of such a plan, to cut it further.
    target : int, optional
        Wanted pixels along the side of a region. None: enough regions for many processors, each
        some tens of milliseconds of work or more; the number depends on the map alone.
    """
    if target is None:
        side = math.isqrt(source.shape[0] * source.shape[1] // _REGIONS)
        target = min(max(side, _REGION_SIDES[0]), _REGION_SIDES[1])
    top, bottom, left, right = limits or (0, source.shape[0], 0, source.shape[1])
    height, width = source.chunk_shape
    rows = split_axis(top, bottom, chunk=height, factor=bin_factors[0], target=target)
    columns = split_axis(left, right, chunk=width, factor=bin_factors[1], target=target)
    return RegionPlan(rows, columns, bin_factors)


def lazy_pass(
    function: Callable[..., Any],
    source: BlockSource,
    plan: RegionPlan,
    token: Hashable,
    **arguments: Any,
) -> da.Array:
    """
    Call a function once per region, lazily.

    Parameters
    ----------
    function : callable
        Called as ``function(source, limits, **arguments)``, one call per region.
    source : BlockSource
        The map's counts.
    plan : RegionPlan
        The regions.
    token : hashable
        What the result depends on besides source and plan.
    **arguments
        Passed on.

    Returns
    -------
    dask.array.Array, shape (regions in y, regions in x), object
        Each element is what the function returned.
    """
    import dask.array as da
    from dask.base import tokenize

    name = f"{function.__name__}-{tokenize(source, plan.rows, plan.columns, token)}"
    passes: da.Array = da.map_blocks(
        _call_for_block,
        name=name,
        chunks=tuple((1,) * n for n in plan.shape),
        dtype=object,
        meta=np.empty((0, 0), dtype=object),
        task=(function, source, plan, arguments),
    )
    return passes


def _call_for_block(
    task: tuple[Callable[..., Any], BlockSource, RegionPlan, dict[str, Any]],
    block_id: tuple[int, int],
) -> NDArray[np.object_]:
    function, source, plan, arguments = task
    holder = np.empty((1, 1), dtype=object)
    holder[0, 0] = function(source, plan.limits(*block_id), **arguments)
    return holder
