"""What is known of a mosaic from what is known of its tiles."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.spectra import MapMetadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sigma_scale.mosaic.composition.plan import MosaicPlan

__all__ = ["mosaic_metadata"]

_SAME = ("elevation_deg", "azimuth_deg", "stage_z_mm", "stage_tilt_deg", "stage_rotation_deg")


def mosaic_metadata(tiles: Sequence[MapMetadata], plan: MosaicPlan) -> MapMetadata:
    """
    Unite what is known of the tiles.

    Parameters
    ----------
    tiles : sequence of MapMetadata
        Of the tiles, in the plan's order.
    plan : MosaicPlan
        Where they lie.

    Returns
    -------
    MapMetadata
        Beam energy and resolution are the commonest; live and real time are summed if all are
        known; directions of the detector and the stage's height and tilt are there if all tiles
        that tell them agree; elements, lines and source files are those of all tiles. The stage
        position is that of the mosaic's centre.
    """
    x, y = _stage_at_centre(tiles, plan)
    # Files of one name and size, not hashed yet, may lie in different folders.
    files = {(file, file.path): file for tile in tiles for file in tile.sources}
    named = {name: _only([getattr(tile, name) for tile in tiles]) for name in _SAME}
    return MapMetadata(
        title=f"mosaic of {len(tiles)} tiles",
        instrument=_commonest([tile.instrument for tile in tiles]),
        beam_energy_kev=_commonest([tile.beam_energy_kev for tile in tiles]),
        resolution_mn_ka_ev=_commonest([tile.resolution_mn_ka_ev for tile in tiles]),
        live_time_s=_total([tile.live_time_s for tile in tiles]),
        real_time_s=_total([tile.real_time_s for tile in tiles]),
        stage_x_mm=x,
        stage_y_mm=y,
        elements=tuple(dict.fromkeys(name for tile in tiles for name in tile.elements)),
        lines=tuple(dict.fromkeys(name for tile in tiles for name in tile.lines)),
        sources=tuple(files.values()),
        # The files alone don't tell one mosaic of them from another.
        selection={"overlap": plan.overlap, "mosaic": plan.digest},
        **named,
    )


def _commonest(values: Sequence[Any]) -> Any:
    known = Counter(value for value in values if value is not None)
    return known.most_common(1)[0][0] if known else None


def _only(values: Sequence[float | None]) -> float | None:
    known = {value for value in values if value is not None}
    return known.pop() if len(known) == 1 else None


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(sum(known)) if len(known) == len(values) else None


def _stage_at_centre(
    tiles: Sequence[MapMetadata], plan: MosaicPlan
) -> tuple[float | None, float | None]:
    """
    Stage at the mosaic's centre, by an affine map from the tiles' centres to their stages.

    Which way the stage's axes point need not be known for that. Where the tiles lie on a line, what
    is across it is taken as no movement.
    """
    places, stages = [], []
    for tile, planned in zip(tiles, plan.tiles, strict=True):
        if tile.stage_x_mm is not None and tile.stage_y_mm is not None:
            offset, shape = np.array(planned.offset), np.array(planned.shape)
            places.append(offset + (shape - 1) / 2)
            stages.append((tile.stage_x_mm, tile.stage_y_mm))
    if not places:
        return None, None
    at, stage = np.array(places), np.array(stages)
    movement, *_ = np.linalg.lstsq(at - at.mean(axis=0), stage - stage.mean(axis=0), rcond=None)
    centre = (np.array(plan.shape) - 1) / 2
    x, y = stage.mean(axis=0) + (centre - at.mean(axis=0)) @ movement
    return float(x), float(y)
