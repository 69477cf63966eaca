"""Maps of any size with known phases, for demonstrations, tests and benchmarks."""

from __future__ import annotations

from sigma_scale.synthetic.maps import SyntheticMap, synthetic_map
from sigma_scale.synthetic.minerals import DEFAULT_MINERALS, ZIRCON, Mineral
from sigma_scale.synthetic.tiles import SyntheticTiles, synthetic_tiles

__all__ = [
    "DEFAULT_MINERALS",
    "ZIRCON",
    "Mineral",
    "SyntheticMap",
    "SyntheticTiles",
    "synthetic_map",
    "synthetic_tiles",
]
