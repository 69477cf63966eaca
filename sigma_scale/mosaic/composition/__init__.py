"""Tiles put together to one map: which tile gives each pixel, and how its counts are gathered."""

from __future__ import annotations

from sigma_scale.mosaic.composition.assembly import compose
from sigma_scale.mosaic.composition.plan import MosaicPlan, same_blocks
from sigma_scale.mosaic.composition.source import MosaicSource

__all__ = ["MosaicPlan", "MosaicSource", "compose", "same_blocks"]
