"""
Tiles of a stage scan: where they lie, by the microscope and by what they see in common.

Names load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.mosaic.adding import add_tiles, register_added
    from sigma_scale.mosaic.checks import Finding
    from sigma_scale.mosaic.composition import (
        ChannelMap,
        MosaicPlan,
        MosaicSource,
        PlannedTile,
        compose,
    )
    from sigma_scale.mosaic.dose import tile_doses
    from sigma_scale.mosaic.flipping import flip_layout
    from sigma_scale.mosaic.ingest import ingest_tiles
    from sigma_scale.mosaic.layout import TileLayout
    from sigma_scale.mosaic.placement import GridRule
    from sigma_scale.mosaic.registration import Registration, register
    from sigma_scale.mosaic.tile import Tile
    from sigma_scale.mosaic.writing import mosaic_attrs, write_mosaic

__all__ = [
    "ChannelMap",
    "Finding",
    "GridRule",
    "MosaicPlan",
    "MosaicSource",
    "PlannedTile",
    "Registration",
    "Tile",
    "TileLayout",
    "add_tiles",
    "compose",
    "flip_layout",
    "ingest_tiles",
    "mosaic_attrs",
    "register",
    "register_added",
    "tile_doses",
    "write_mosaic",
]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "ChannelMap": "composition",
        "Finding": "checks",
        "GridRule": "placement",
        "MosaicPlan": "composition",
        "MosaicSource": "composition",
        "PlannedTile": "composition",
        "Registration": "registration",
        "Tile": "tile",
        "TileLayout": "layout",
        "add_tiles": "adding",
        "compose": "composition",
        "flip_layout": "flipping",
        "ingest_tiles": "ingest",
        "mosaic_attrs": "writing",
        "register": "registration",
        "register_added": "adding",
        "tile_doses": "dose",
        "write_mosaic": "writing",
    },
)
