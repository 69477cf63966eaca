"""Tiles put together to one map: which tile gives each pixel, and how its counts are gathered."""

from __future__ import annotations

from sigma_scale.mosaic.composition.assembly import compose
from sigma_scale.mosaic.composition.common_axis import ChannelMap
from sigma_scale.mosaic.composition.plan import MosaicPlan, PlannedTile, same_blocks
from sigma_scale.mosaic.composition.source import MosaicSource

__all__ = ["ChannelMap", "MosaicPlan", "MosaicSource", "PlannedTile", "compose", "same_blocks"]
