"""Maps as tables, for spreadsheets and other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["image_table", "map_table"]


def image_table(image: xr.DataArray) -> pd.DataFrame:
    """
    Lay out one map as it is seen.

    Parameters
    ----------
    image : xarray.DataArray, shape (y, x)
        The map, lazy or not.

    Returns
    -------
    pandas.DataFrame
        A row for each row of the map, a column for each of its columns.
    """
    import pandas as pd

    table = pd.DataFrame(image.transpose("y", "x").to_numpy())
    table.index.name = "row"
    return table


def map_table(maps: xr.DataArray) -> pd.DataFrame:
    """
    List the pixels of several maps.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        The maps, lazy or not.

    Returns
    -------
    pandas.DataFrame
        One row per pixel, with its ``row`` and ``column`` as the index; one column per map.
    """
    import pandas as pd

    values = maps.transpose("y", "x", "line").to_numpy()
    rows, columns, n_maps = values.shape
    index = pd.MultiIndex.from_product(
        [np.arange(rows), np.arange(columns)], names=["row", "column"]
    )
    names = [str(name) for name in maps["line"].to_numpy()]
    return pd.DataFrame(values.reshape(-1, n_maps), index=index, columns=names)
