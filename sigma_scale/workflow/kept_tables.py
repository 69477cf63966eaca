"""Tables as datasets and back, so that they can be kept like maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["dataset_of_table", "table_of_dataset"]


def dataset_of_table(table: pd.DataFrame) -> xr.Dataset:
    """
    Make a dataset of a table.

    Parameters
    ----------
    table : pandas.DataFrame
        With an index of whole numbers that has a name; its attributes are plain values.

    Returns
    -------
    xarray.Dataset
        A variable for each column, over the index.
    """
    import xarray as xr

    index = str(table.index.name)
    # The order of its variables gets lost where a dataset is stored.
    return xr.Dataset(
        {str(name): (index, table[name].to_numpy()) for name in table.columns},
        coords={index: table.index.to_numpy()},
        attrs={**table.attrs, "columns": [str(name) for name in table.columns]},
    )


def table_of_dataset(dataset: xr.Dataset) -> pd.DataFrame:
    """
    Make a table again of what :func:`dataset_of_table` made of it.

    Parameters
    ----------
    dataset : xarray.Dataset
        It is read.

    Returns
    -------
    pandas.DataFrame
    """
    (index,) = dataset.dims
    attrs: dict[str, Any] = dict(dataset.attrs)
    columns = attrs.pop("columns")
    read = dataset.compute()
    table = pd.DataFrame(
        {name: read[name].to_numpy() for name in columns},
        index=pd.Index(read[index].to_numpy(), name=index),
    )
    table.attrs.update({str(name): value for name, value in attrs.items()})
    return table
