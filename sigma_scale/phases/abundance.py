"""Where the end-members of an unmixing are on the map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import ParameterError, ShapeMismatchError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["abundance_maps", "check_pair"]


def abundance_maps(
    labels: xr.DataArray, weights: pd.DataFrame, components: pd.DataFrame, *, n_clusters: int
) -> xr.DataArray:
    """
    Give each pixel the shares of the end-members in the intensity of its cluster.

    Parameters
    ----------
    labels : xarray.DataArray, shape (y, x), integer
        Cluster of each pixel; negative ones are noise.
    weights : pandas.DataFrame, shape (cluster, end-member)
        Weights as :func:`unmix` gives them: rows ``cluster_i`` for some or all clusters.
    components : pandas.DataFrame, shape (channel, end-member)
        Spectra of the end-members, in the order of the weights' columns.
    n_clusters : int
        Number of clusters, those without pixels included.

    Returns
    -------
    xarray.DataArray, shape (y, x, line), float32
        Shares from 0 to 1; ``line`` names the end-members. NaN for noise, and for clusters without
        weights or with none above 0.

    Raises
    ------
    ShapeMismatchError
        If the tables have different numbers of end-members.
    ParameterError
        If the weights or labels are of clusters that there are not, or labels are no integers.

    Notes
    -----
    A weight alone means nothing: NMF may scale it up and its end-member's spectrum down. So the
    share of end-member j in cluster i is ``w_ij s_j``, with ``s_j`` the sum of its spectrum, over
    the sum of these products over all j.
    """
    check_pair(weights, components)
    amounts = weights.to_numpy(np.float64) * components.to_numpy(np.float64).sum(axis=0)
    whole = amounts.sum(axis=1, keepdims=True)
    shares = np.divide(amounts, whole, out=np.full_like(amounts, np.nan), where=whole > 0)
    numbers = labels.to_numpy()
    if numbers.dtype.kind not in "iu":
        raise ParameterError(f"Labels must be integers, not {numbers.dtype}.")
    if numbers.size and numbers.max() >= n_clusters:
        raise ParameterError(
            f"There is a pixel of cluster {numbers.max()}, and n_clusters says that they go from 0 "
            f"to {n_clusters - 1}. Give the number of clusters that the labels have."
        )
    # The last row is what noise looks up.
    table = np.full((n_clusters + 1, weights.shape[1]), np.nan, np.float32)
    for name, row in zip(weights.index, shares, strict=True):
        table[_number(str(name), n_clusters)] = row
    maps: xr.DataArray = (
        labels.expand_dims(line=[str(name) for name in components.columns], axis=2)
        .copy(data=table[np.where(numbers < 0, -1, numbers.astype(np.int64))])
        .rename("abundance")
    )
    return maps


def check_pair(weights: pd.DataFrame, components: pd.DataFrame) -> None:
    """
    Refuse tables that can't be of one unmixing.

    Parameters
    ----------
    weights : pandas.DataFrame, shape (cluster, end-member)
    components : pandas.DataFrame, shape (channel, end-member)

    Raises
    ------
    ShapeMismatchError
        If they have different numbers of end-members.
    """
    if weights.shape[1] != components.shape[1]:
        raise ShapeMismatchError(
            f"There are weights of {weights.shape[1]} end-members and {components.shape[1]} "
            "spectra of end-members. Give the two tables of one unmixing."
        )


def _number(name: str, n_clusters: int) -> int:
    number = name.removeprefix("cluster_")
    if not number.isdecimal() or int(number) >= n_clusters:
        raise ParameterError(
            f"The weights have a row {name!r}, and there is no such cluster: they go from "
            f"cluster_0 to cluster_{n_clusters - 1}. Unmix the clusters as they are now."
        )
    return int(number)
