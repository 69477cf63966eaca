"""Functions of rows, applied to tables and maps, lazily where these are lazy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sigma_scale import compute
from sigma_scale.latent.rows import in_threads
from sigma_scale.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sigma_scale.latent.sources import FeatureSource

    RowFunction = Callable[[NDArray[np.float32]], NDArray[np.float32]]

__all__ = ["map_rows"]


def map_rows(
    function: RowFunction, source: FeatureSource, n_outputs: int, *, workers: int, description: str
) -> Any:
    """
    Apply a function of rows to all pixels of a source.

    Parameters
    ----------
    function : callable
        Takes rows of shape (m, k), float32, and gives rows of shape (m, n_outputs), float32.
    source : FeatureSource
        The pixels.
    n_outputs : int
        Numbers per pixel.
    workers : int
        Threads, for pixels in memory; lazy ones run where Dask runs.
    description : str
        What is being done, for the progress bar.

    Returns
    -------
    numpy.ndarray, dask.array.Array or xarray.DataArray, shape (..., n_outputs), float32
        As the source is. Pixels of a map that have NaN stay NaN.

    Raises
    ------
    ParameterError
        If a value is infinite, or NaN in a table; of a lazy result when it is computed.
    MemoryLimitError
        If the result does not fit into memory.
    """
    if source.is_lazy:
        values: Any = _lazily(function, source, n_outputs)
    else:
        values = _in_memory(function, source, n_outputs, workers, description)
    if source.labelled is None:
        return values
    dims = source.labelled.dims[:-1]
    coords = {name: source.labelled.coords[name] for name in dims if name in source.labelled.coords}
    return xr.DataArray(values, dims=(*dims, "component"), coords=coords)


def _in_memory(
    function: RowFunction, source: FeatureSource, n_outputs: int, workers: int, description: str
) -> NDArray[np.float32]:
    compute.check_memory(
        source.n_rows * n_outputs * 4,
        what=f"The result for {source.n_rows:,} pixels",
        remedy="Give the features as a Dask array, so that the result is lazy, or raise "
        "memory_limit.",
    )
    results = np.empty((*source.table.shape, n_outputs), np.float32)

    def batch(block: tuple[NDArray[Any], tuple[int, ...]]) -> None:
        values, origin = block
        part = results[origin[0] : origin[0] + len(values)]
        part[...] = _block(function, source.table, n_outputs, values, origin)
        bar.update(part.size // n_outputs)

    with progress_bar(description, total=source.n_rows) as bar:
        in_threads(batch, source.batches(), workers)
    return results


def _lazily(function: RowFunction, source: FeatureSource, n_outputs: int) -> Any:
    """Transform each chunk when it is asked for."""
    import dask.array as da
    from dask.delayed import delayed

    table = source.table  # not the source, which would take the whole graph along
    features = source.values.ndim - 1
    values = source.values.rechunk({features: -1})

    def chunk(
        block: NDArray[Any], function: RowFunction, block_info: Any = None
    ) -> NDArray[np.float32]:
        origin = tuple(first for first, _ in block_info[0]["array-location"][:-1])
        return _block(function, table, n_outputs, block, origin)

    return da.map_blocks(
        chunk,
        values,
        # A task of its own, so that the model in it travels to each worker once. Unlike what is
        # scattered it can be made again should the worker that has it die.
        delayed(function, pure=False),
        dtype=np.float32,
        chunks=(*values.chunks[:-1], (n_outputs,)),
        meta=np.empty((0,) * values.ndim, np.float32),
    )


def _block(
    function: RowFunction,
    table: Any,
    n_outputs: int,
    values: NDArray[Any],
    origin: tuple[int, ...],
) -> NDArray[np.float32]:
    rows, valid = table.checked(values, origin)
    if valid.all():
        results = function(rows)
    else:
        results = np.full((len(rows), n_outputs), np.nan, np.float32)
        if valid.any():
            results[valid] = function(rows[valid])
    return results.reshape(*values.shape[:-1], n_outputs)
