"""
Parts of chunked HDF5 datasets, decompressed outside of the HDF5 library where that is possible.

The library lets one thread in at a time and inflates a chunk to whatever size its data lead to.
Chunks of the common filters, shuffle and deflate, are therefore taken as they are stored and
inflated here: in parallel, and never to more than their size [1]_.

References
----------
.. [1] The HDF Group, "HDF5 File Format Specification", section "Data Storage - Filter Pipeline",
   https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html
"""

from __future__ import annotations

import itertools
import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import FileFormatError

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

__all__ = ["read_part"]

_DEFLATE = 1
_SHUFFLE = 2
_PIPELINES = ([_DEFLATE], [_SHUFFLE, _DEFLATE])


def read_part(dataset: h5py.Dataset, index: tuple[slice, ...]) -> NDArray[Any]:
    """
    Read a part of a dataset.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of numbers.
    index : tuple of slice
        With start and stop, or whole, one per dimension.

    Returns
    -------
    array
        Of the dataset's type.

    Raises
    ------
    FileFormatError
        If a chunk is damaged.
    """
    filters = _filters(dataset)
    if dataset.chunks is None or filters not in _PIPELINES or not dataset.dtype.isnative:
        whole: NDArray[Any] = dataset[index]
        return whole
    limits = [part.indices(size)[:2] for part, size in zip(index, dataset.shape, strict=True)]
    result = np.empty([max(stop - start, 0) for start, stop in limits], dtype=dataset.dtype)
    touched = [
        range(start - start % chunk, stop, chunk)
        for (start, stop), chunk in zip(limits, dataset.chunks, strict=True)
    ]
    for corner in itertools.product(*touched):
        inside, target = [], []
        for place, chunk, (start, stop) in zip(corner, dataset.chunks, limits, strict=True):
            low, high = max(place, start), min(place + chunk, stop)
            inside.append(slice(low - place, high - place))
            target.append(slice(low - start, high - start))
        result[tuple(target)] = _chunk(dataset, corner, shuffled=_SHUFFLE in filters)[tuple(inside)]
    return result


def _filters(dataset: h5py.Dataset) -> list[int]:
    properties = dataset.id.get_create_plist()
    return [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]


def _chunk(dataset: h5py.Dataset, corner: tuple[int, ...], *, shuffled: bool) -> NDArray[Any]:
    """Whole chunk, edge chunks with their padding."""
    info = dataset.id.get_chunk_info_by_coord(corner)
    if info.byte_offset is None:
        return np.full(dataset.chunks, dataset.fillvalue, dtype=dataset.dtype)
    size = math.prod(dataset.chunks) * dataset.dtype.itemsize
    if info.size > size + size // 100 + 1024:  # deflate adds a few bytes to what it can't shorten
        raise FileFormatError(
            f"{dataset.file.filename} is damaged: the chunk at {corner} takes {info.size:,} bytes, "
            f"more than its {size:,} bytes of counts."
        )
    skipped, stored = dataset.id.read_direct_chunk(corner)
    whole: NDArray[Any]
    if skipped:
        whole = dataset[tuple(map(slice, corner, np.add(corner, dataset.chunks)))]
        padding = [(0, chunk - n) for chunk, n in zip(dataset.chunks, whole.shape, strict=True)]
        return np.pad(whole, padding)
    inflater = zlib.decompressobj()
    content = inflater.decompress(stored, size + 1)
    if len(content) != size or not inflater.eof:
        raise FileFormatError(
            f"{dataset.file.filename} is damaged: the chunk at {corner} doesn't hold the "
            f"{size:,} bytes that it should."
        )
    flat = np.frombuffer(content, dtype=np.uint8)
    if shuffled and dataset.dtype.itemsize > 1:
        flat = np.ascontiguousarray(flat.reshape(dataset.dtype.itemsize, -1).T).ravel()
    whole = flat.view(dataset.dtype).reshape(dataset.chunks)
    return whole
