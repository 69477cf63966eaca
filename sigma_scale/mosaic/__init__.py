"""
Tiles of a stage scan: where they lie, by the microscope and by what they see in common.

Names load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.mosaic.checks import Finding
    from sigma_scale.mosaic.layout import TileLayout
    from sigma_scale.mosaic.placement import GridRule
    from sigma_scale.mosaic.registration import Registration, register
    from sigma_scale.mosaic.tile import Tile

__all__ = ["Finding", "GridRule", "Registration", "Tile", "TileLayout", "register"]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "Finding": "checks",
        "GridRule": "placement",
        "Registration": "registration",
        "Tile": "tile",
        "TileLayout": "layout",
        "register": "registration",
    },
)
