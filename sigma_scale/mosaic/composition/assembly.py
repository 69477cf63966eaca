"""One map from many tiles."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ParameterError, ShapeMismatchError, SigmaScaleWarning
from sigma_scale.files import fingerprint_of
from sigma_scale.mosaic.composition.blocks import naming
from sigma_scale.mosaic.composition.common_axis import common_axis
from sigma_scale.mosaic.composition.images import (
    dose_image,
    navigation_image,
    sum_image,
    tile_image,
)
from sigma_scale.mosaic.composition.metadata import mosaic_metadata
from sigma_scale.mosaic.composition.plan import (
    MosaicPlan,
    Overlap,
    PlannedTile,
    place_tiles,
)
from sigma_scale.mosaic.composition.source import MosaicSource
from sigma_scale.mosaic.registration import Registration
from sigma_scale.mosaic.tile import MICROMETRE
from sigma_scale.progress import progress_bar
from sigma_scale.spectra import SpectrumImage
from sigma_scale.spectra.image import NAVIGATION
from sigma_scale.store import stored_sum_spectrum, stored_total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sigma_scale.mosaic.layout import TileLayout
    from sigma_scale.mosaic.tile import Tile
    from sigma_scale.spectra import EnergyAxis, MapMetadata

__all__ = ["compose"]

_NAMED = 8
_WIDER = {"uint8": "uint16", "uint16": "uint32"}


class _Header(NamedTuple):
    """What is known of a tile when its file has been opened."""

    identity: str
    counted: bool
    """Whether there are counts that tell it from others: of a store, and not none."""
    dtype: np.dtype[Any]
    energy: EnergyAxis
    metadata: MapMetadata
    navigation: np.dtype[Any] | None


def compose(
    tiles: TileLayout | Registration,
    *,
    overlap: Overlap = "seam",
    doses: NDArray[np.floating[Any]] | Literal["equal"] | None = None,
    earlier_plan: MosaicPlan | None = None,
) -> SpectrumImage:
    """
    Put tiles together to one map, whose counts are read from them block by block.

    Parameters
    ----------
    tiles : TileLayout or Registration
        Tiles where they lie. Offsets are rounded to whole pixels: counts are never interpolated.
    overlap : {"seam", "sum"}, default: "seam"
        ``"seam"``: every pixel is taken from one tile, the one whose border is farthest from it.
        ``"sum"``: the counts of all tiles are added; how long each pixel was measured is in the
        image ``"live_time"``, or ``"n_tiles"`` where live times are not known.
    doses : array or "equal", shape (tile,), optional
        Relative doses of the tiles, for the image ``"dose"``; ``"equal"``: all 1; None: estimated
        from the overlaps when that image is computed.
    earlier_plan : MosaicPlan, optional
        Plan of a mosaic of some of the tiles. The new one begins where blocks of that one do, so
        that finished ones can be kept; up to 127 rows and columns at its beginning may be empty.

    Returns
    -------
    SpectrumImage
        Lazy. Its ``source`` is a :class:`MosaicSource`. Images: ``"tile"`` (int32, -1 where there
        is none), ``"dose"`` (float32), ``"navigation"`` if tiles have one, and in ``"sum"`` mode
        ``"live_time"`` or ``"n_tiles"``. Pixels without a tile have no counts.

    Raises
    ------
    ParameterError
        If channels of tiles are too different, a tile isn't as it was when the layout was made, two
        tiles are copies of one, or a parameter can't work.
    SigmaScaleError
        If a tile can't be opened.

    Warns
    -----
    SigmaScaleWarning
        If tiles have other channels than most and are rebinned by counts, or give no pixel.

    Notes
    -----
    Live times of a mosaic with seams are those of all tiles summed, parts that were left out
    included. How channels are brought together is told in
    :mod:`sigma_scale.mosaic.composition.common_axis`.
    """
    layout = tiles.layout if isinstance(tiles, Registration) else tiles
    _check(layout, overlap, doses)
    headers = _headers(layout)
    _refuse_copies(layout, headers)
    plan = _plan(layout, headers, overlap, earlier_plan)
    _warn_of_rebinning(plan)
    _warn_of_hidden(plan)
    source = MosaicSource(plan, layout.tiles)
    scale = _scale(layout)
    images = {
        "tile": tile_image(source, scale),
        "dose": dose_image(source, scale, *_doses(layout, doses, plan)),
    }
    kinds = [header.navigation for header in headers if header.navigation is not None]
    if kinds:
        images[NAVIGATION] = navigation_image(source, scale, np.result_type(*kinds))
    if overlap == "sum":
        name, values, attrs = _live_times(layout, headers)
        images[name] = sum_image(source, scale, name, values, attrs)
    return SpectrumImage(
        source=source,
        energy=plan.energy,
        pixel_size=scale[0],
        pixel_unit=scale[1],
        metadata=mosaic_metadata([header.metadata for header in headers], plan),
        images=images,
    )


def _check(layout: TileLayout, overlap: str, doses: Any) -> None:
    if overlap not in {"seam", "sum"}:
        raise ParameterError(f"overlap must be 'seam' or 'sum', not {overlap!r}.")
    if isinstance(doses, str):
        if doses != "equal":
            raise ParameterError(f"doses must be numbers, 'equal' or None, not {doses!r}.")
    elif doses is not None:
        values = np.asarray(doses, dtype=np.float64)
        if values.shape != (len(layout),):
            raise ShapeMismatchError(
                f"{len(layout)} tiles need as many doses, not an array of shape {values.shape}."
            )
        if not (np.isfinite(values) & (values > 0)).all():
            raise ParameterError("Doses must be positive numbers.")
    reasons = [found.message for found in layout.findings if found.verdict == "too different"]
    if reasons:
        more = f" And {len(reasons) - _NAMED} more like these." if len(reasons) > _NAMED else ""
        raise ParameterError(" ".join(reasons[:_NAMED]) + more)


def _headers(layout: TileLayout) -> list[_Header]:
    found: dict[int, _Header] = {}
    with progress_bar("Opening tiles", total=len(layout), unit="tile") as bar:
        for number, header in compute.stream(
            _header, enumerate(layout.tiles), description="Opening tiles"
        ):
            found[number] = header
            bar.update()
    return [found[number] for number in range(len(layout))]


def _refuse_copies(layout: TileLayout, headers: Sequence[_Header]) -> None:
    """Refuse tiles with the same counts in each pixel and each channel, other than none."""
    first: dict[str, Tile] = {}
    for tile, header in zip(layout, headers, strict=True):
        if header.counted and first.setdefault(header.identity, tile) is not tile:
            raise ParameterError(
                f"{tile.heading} is a duplicate: it has the counts of "
                f"{first[header.identity].label}. Take it out."
            )


def _header(job: tuple[int, Tile]) -> tuple[int, _Header]:
    number, tile = job
    with naming(tile):
        image = tile.read()
        identity, counted = _identity(tile, image)
    if image.source.shape[:2] != tile.shape:
        raise ParameterError(
            f"The map of {tile.label} is seen through bins of {image.processing.bin_factors} "
            "pixels, and mosaics are made of counts as they were measured. Give it without "
            "binning; the mosaic can be binned."
        )
    shown = image.navigation
    return number, _Header(
        identity,
        counted,
        image.source.dtype,
        image.energy,
        image.metadata,
        None if shown is None else shown.dtype,
    )


def _identity(tile: Tile, image: SpectrumImage) -> tuple[str, bool]:
    """
    What tells a tile's counts from others: for stores from their sums, else from the files.

    And whether it is from sums that tell it.

    A store that is made again of the same file has the same identity, wherever it is.
    """
    from dask.base import tokenize

    sums = stored_total(image.source), stored_sum_spectrum(image.source)
    if sums[0] is not None and sums[1] is not None:
        digest = hashlib.blake2b(repr((image.source.shape, image.source.dtype)).encode())
        for part in sums:
            digest.update(np.ascontiguousarray(part).tobytes())
        # Tiles that are the same everywhere, such as empty ones, are no copies of each other.
        return f"counts:{digest.hexdigest()[:32]}", bool(np.ptp(sums[0]) > 0)
    if tile.path is None:
        return f"memory:{tokenize(image.source)}", False
    files = image.metadata.sources
    told = files and all(file.path or file.digest for file in files)
    prints = [file.fingerprint() for file in files] if told else [fingerprint_of(tile.path)]
    return f"file:{tokenize(prints, dict(image.metadata.selection))}", False


def _plan(
    layout: TileLayout, headers: Sequence[_Header], overlap: Overlap, earlier: MosaicPlan | None
) -> MosaicPlan:
    energy = common_axis([header.energy for header in headers])
    identities = [header.identity for header in headers]
    names = [tile.name for tile in layout.tiles]
    offsets, places = place_tiles(layout.offsets, names, identities, earlier)
    planned = tuple(
        PlannedTile(tile.name, header.identity, (y, x), tile.shape, tuple(place), header.energy)
        for tile, header, (y, x), place in zip(
            layout.tiles, headers, offsets.tolist(), places.tolist(), strict=True
        )
    )
    dtype = np.result_type(*{header.dtype for header in headers})
    plan = MosaicPlan(planned, overlap, energy, dtype.name)
    # Where counts are added up, they need more room.
    if overlap == "sum" or any(found.shift is None for found in plan.maps):
        plan = MosaicPlan(planned, overlap, energy, _WIDER.get(dtype.name, dtype.name))
    return plan


def _warn_of_rebinning(plan: MosaicPlan) -> None:
    names = [
        tile.name for tile, found in zip(plan.tiles, plan.maps, strict=True) if found.shift is None
    ]
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        warnings.warn(
            f"These tiles have other channels than most and are rebinned by counts: "
            f"{', '.join(names[:_NAMED])}{more}.",
            SigmaScaleWarning,
            stacklevel=3,
        )


def _warn_of_hidden(plan: MosaicPlan) -> None:
    names = [] if plan.overlap == "sum" else plan.hidden
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        warnings.warn(
            f"These tiles give no pixel, since others lie over all of them: "
            f"{', '.join(names[:_NAMED])}{more}. Check their positions, leave them out, or add "
            "counts up by overlap='sum' (--overlap sum).",
            SigmaScaleWarning,
            stacklevel=3,
        )


def _scale(layout: TileLayout) -> tuple[tuple[float, float], str]:
    """Pixel size and its unit; positions in pixels don't take the tiles' scale away."""
    if layout.unit != MICROMETRE and layout.tiles[0].pixel_unit == MICROMETRE:
        return Counter(tile.pixel_size for tile in layout).most_common(1)[0][0], MICROMETRE
    return layout.pixel_size, layout.unit


def _live_times(
    layout: TileLayout, headers: Sequence[_Header]
) -> tuple[str, NDArray[np.float64], dict[str, str]]:
    times = [header.metadata.live_time_s for header in headers]
    known = [time for time in times if time is not None]
    if len(known) < len(times):
        return "n_tiles", np.ones(len(times)), {"long_name": "number of tiles"}
    pixels = np.array([tile.shape[0] * tile.shape[1] for tile in layout])
    return "live_time", np.array(known) / pixels, {"long_name": "live time", "units": "s"}


class _Doses:
    """Estimates the tiles' doses, as one task."""

    def __init__(self, layout: TileLayout) -> None:
        self._layout = layout

    def __call__(self) -> NDArray[np.float64]:
        from sigma_scale.mosaic.dose import tile_doses

        # Tasks that wait for others of their own kind could fill all threads and wait forever.
        with compute.inline():
            return tile_doses(self._layout)


def _doses(layout: TileLayout, doses: Any, plan: MosaicPlan) -> tuple[Any, str]:
    """Doses, perhaps still to be computed, and what tells them from others."""
    if doses is None:
        from dask.delayed import delayed

        name = f"tile-doses-{plan.digest}"
        return delayed(_Doses(layout), name=f"estimate-{name}")(dask_key_name=name), "estimated"
    values = np.ones(len(layout)) if isinstance(doses, str) else np.asarray(doses, np.float64)
    return values, hashlib.blake2b(values.tobytes(), digest_size=8).hexdigest()
