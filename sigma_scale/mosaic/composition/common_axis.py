"""
One energy axis for all tiles, and where the channels of each lie on it.

The axis is the commonest of the tiles, made longer by whole channels at both ends where others
reach beyond it, so that no count is lost. Channels of the same width that are off by whole
channels are moved. All others are rebinned by counts: each count goes to a place drawn evenly
within its old channel, and to the new channel at that place. What was independent Poisson noise
in the old channels is so in the new ones, because Poisson counts that are coloured independently
are independent Poisson counts of each colour [1]_; splitting counts by the share of overlap
would instead give fractions, and giving each to the nearest new channel a comb of channels that
get two old ones, or none.

.. [1] J. F. C. Kingman, *Poisson Processes*, Oxford University Press (1993), section 5.1.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sigma_scale.errors import ParameterError
from sigma_scale.mosaic.checks import AXIS_TOLERANCE
from sigma_scale.spectra.events import MAX_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sigma_scale.spectra import EnergyAxis

__all__ = ["ChannelMap", "channel_map", "common_axis"]

_EDGE = 1e-9
"""Share of a channel by which edges may miss each other through rounding."""


@dataclass(frozen=True, slots=True)
class ChannelMap:
    """
    Where a tile's channels lie on the mosaic's axis.

    Parameters
    ----------
    shift : int or None
        Channels to move by; None where counts have to be rebinned.
    start : float
        Lower edge of the tile's channel 0, in channels from the lower edge of the axis.
    ratio : float
        Width of the tile's channels in channels of the axis.
    """

    shift: int | None
    start: float
    ratio: float


def channel_map(tile: EnergyAxis, axis: EnergyAxis) -> ChannelMap:
    """
    Find where a tile's channels lie on an axis.

    Parameters
    ----------
    tile : EnergyAxis
        The tile's own axis.
    axis : EnergyAxis
        The mosaic's axis.

    Returns
    -------
    ChannelMap
    """
    shift = round((tile.low - axis.low) / axis.scale_kev)
    misses = (
        tile.low - (axis.low + shift * axis.scale_kev),
        tile.high - (axis.low + (shift + tile.size - 1) * axis.scale_kev),
    )
    ratio = tile.scale_kev / axis.scale_kev
    start = (tile.low - tile.scale_kev / 2 - axis.low) / axis.scale_kev + 0.5
    if max(map(abs, misses)) <= AXIS_TOLERANCE:
        return ChannelMap(shift, float(shift), 1.0)
    return ChannelMap(None, start, ratio)


def common_axis(axes: Sequence[EnergyAxis]) -> EnergyAxis:
    """
    Find the axis that holds the counts of all tiles.

    Parameters
    ----------
    axes : sequence of EnergyAxis
        The tiles' own axes.

    Returns
    -------
    EnergyAxis
        The commonest one (the first of several), longer by whole channels where others need it.

    Raises
    ------
    ParameterError
        If it would have too many channels.
    """
    usual = Counter(axes).most_common(1)[0][0]
    first, stop = 0, usual.size
    for axis in dict.fromkeys(axes):
        found = channel_map(axis, usual)
        first = min(first, math.floor(found.start + _EDGE))
        stop = max(stop, math.ceil(found.start + axis.size * found.ratio - _EDGE))
    if stop - first > MAX_CHANNELS:
        raise ParameterError(
            f"The tiles' energies together need {stop - first:,} channels, and a map has at most "
            f"{MAX_CHANNELS:,}. Leave out the tiles with other energies than most."
        )
    if (first, stop) == (0, usual.size):
        return usual
    return replace(usual, size=stop - first, offset_kev=usual.offset_kev + first * usual.scale_kev)
