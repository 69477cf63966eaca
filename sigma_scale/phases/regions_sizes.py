"""How large the grains of each phase are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["grain_sizes"]

_MOST_BINS = 512
_BY_QUARTILES = ("auto", "fd")


def grain_sizes(
    regions: pd.DataFrame,
    *,
    bins: str | int | Sequence[float] = "auto",
    exclude_border: bool = False,
) -> pd.DataFrame:
    """
    Histogram the equivalent diameters of the regions of each phase.

    Parameters
    ----------
    regions : pandas.DataFrame
        As :func:`~sigma_scale.phases.regions_statistics.region_statistics` gives it, or some of
        its rows.
    bins : str, int or sequence of float, default: "auto"
        As for :func:`numpy.histogram_bin_edges`: a rule, a number of bins, or their edges in the
        unit of the diameters. The same bins serve all phases. A rule that asks for more than 512
        gets 512.
    exclude_border : bool, default: False
        Whether to leave out regions at the map's edge, whose true size is unknown. (Large grains
        reach the edge more often, so what is left is smaller on average.)

    Returns
    -------
    pandas.DataFrame
        Index ``phase``, ``bin``. ``low_um`` and ``high_um``, the bin's edges (``_px`` where the
        map has no scale; the last bin holds its upper edge too, the others don't); ``number`` of
        regions; ``number_share`` of the phase's regions; ``area_um2`` (``_px2``), sum of the
        regions' areas; ``area_share`` of the phase's area. Regions outside given bins count in no
        bin, but in the whole of which shares are taken. ``attrs["units"]`` has the units.

    Raises
    ------
    ParameterError
        If the table is not one of regions, or the bins can't work.
    EmptyMapError
        If there are no regions (left).
    """
    import pandas as pd

    unit = next((u for u in ("um", "px") if f"equivalent_diameter_{u}" in regions), None)
    if unit is None or "phase" not in regions or f"area_{unit}2" not in regions:
        raise ParameterError(
            "This is no table of regions: it needs the columns phase, equivalent_diameter_um and "
            "area_um2 (or _px, _px2), as region_statistics gives them."
        )
    if exclude_border:
        regions = regions[~regions["touches_border"].to_numpy(bool)]
    if len(regions) == 0:
        left = " away from the map's edge" if exclude_border else ""
        raise EmptyMapError(f"There are no regions{left} to count.")
    diameters = regions[f"equivalent_diameter_{unit}"].to_numpy(np.float64)
    areas = regions[f"area_{unit}2"].to_numpy(np.float64)
    phase_of = regions["phase"].to_numpy()
    edges = _edges(diameters, bins)
    n_bins = len(edges) - 1
    parts = []
    for phase in np.unique(phase_of):
        own = phase_of == phase
        number, _ = np.histogram(diameters[own], edges)
        area, _ = np.histogram(diameters[own], edges, weights=areas[own])
        parts.append(
            pd.DataFrame(
                {
                    f"low_{unit}": edges[:-1],
                    f"high_{unit}": edges[1:],
                    "number": number.astype(np.int64),
                    "number_share": number / own.sum(),
                    f"area_{unit}2": area,
                    "area_share": area / areas[own].sum(),
                },
                index=pd.MultiIndex.from_product(
                    [[int(phase)], range(n_bins)], names=["phase", "bin"]
                ),
            )
        )
    table = pd.concat(parts)
    length = "µm" if unit == "um" else "pixel"
    table.attrs = {
        "units": {f"low_{unit}": length, f"high_{unit}": length, f"area_{unit}2": f"{length}²"},
        "recipe": {
            "function": "sigma_scale.phases.grain_sizes",
            "bins": edges.tolist(),
            "exclude_border": exclude_border,
            "regions": regions.attrs.get("recipe"),
        },
    }
    return table


def _edges(diameters: NDArray[np.float64], bins: Any) -> NDArray[np.float64]:
    try:
        if isinstance(bins, str) and bins in _BY_QUARTILES:
            bins = _MOST_BINS if _quartile_bins(diameters) > _MOST_BINS else bins
        edges = np.asarray(np.histogram_bin_edges(diameters, bins), dtype=np.float64)
        if isinstance(bins, str) and len(edges) - 1 > _MOST_BINS:
            edges = np.histogram_bin_edges(diameters, _MOST_BINS)
    except (ValueError, TypeError) as error:
        raise ParameterError(
            f"bins must be a rule such as 'auto', a number, or ascending edges, got {bins!r}: "
            f"{error}."
        ) from error
    if len(edges) < 2 or not np.isfinite(edges).all():  # noqa: PLR2004
        raise ParameterError(f"bins must have at least two finite edges, got {bins!r}.")
    return edges


def _quartile_bins(diameters: NDArray[np.float64]) -> float:
    """
    Bins that the rule of Freedman and Diaconis asks for.

    Where nearly all grains are alike and one is large these are millions, which NumPy would make.
    """
    low, high = np.percentile(diameters, [25, 75])
    width = 2 * (high - low) / len(diameters) ** (1 / 3)
    return float(np.ptp(diameters) / width) if width > 0 else 0.0
