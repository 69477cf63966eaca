"""Small entries of HDF5 files, texts and numbers, as Python and NumPy have them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.hdf5.heaps import check_heaps
from sigma_scale.readers.hdf5.texts import attribute_texts, dataset_texts

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

__all__ = ["attribute", "attribute_value", "dataset_value", "is_text", "small_values"]

_SMALL_BYTES = 2**20
_SMALL_VALUES = 64
_MOST_VALUES = 2**16


def dataset_value(dataset: h5py.Dataset) -> Any:
    """
    All values of a dataset, as :mod:`h5py` gives them, but texts of variable length as ``str``.

    Returns
    -------
    array, scalar, str or None
        None if there are too many values, or they are neither numbers nor texts.

    Raises
    ------
    FileFormatError
        If texts can't be found.
    """
    if not _is_readable(dataset.shape, dataset.dtype):
        return None
    if dataset.dtype.kind != "O":
        return dataset[()]
    texts = dataset_texts(dataset)
    if texts is None:
        check_heaps(Path(dataset.file.filename))
        return dataset.asstr()[()]
    return _shaped(texts, dataset.shape)


def attribute_value(item: h5py.Dataset | h5py.Group, name: str) -> Any:
    """
    Value of an attribute, as :func:`dataset_value` gives those of datasets.

    Raises
    ------
    FileFormatError
        If texts can't be found.
    """
    stored = item.attrs.get_id(name)
    if not _is_readable(stored.shape, stored.dtype):
        return None
    if stored.dtype.kind != "O":
        return item.attrs[name]
    texts = attribute_texts(item, name)
    if texts is None:
        check_heaps(Path(item.file.filename))
        return item.attrs[name]
    return _shaped(texts, stored.shape)


def _is_readable(shape: tuple[int, ...] | None, dtype: np.dtype[Any]) -> bool:
    if shape is None or math.prod(shape) > _MOST_VALUES:
        return False
    return is_text(dtype) if dtype.kind == "O" else dtype.kind in "biufcSV"


def is_text(dtype: np.dtype[Any]) -> bool:
    """Whether values are texts, of fixed or variable length."""
    import h5py

    return h5py.check_string_dtype(dtype) is not None


def _shaped(texts: list[bytes], shape: tuple[int, ...]) -> Any:
    decoded = [text.split(b"\0", 1)[0].decode("utf-8", errors="replace") for text in texts]
    if shape == ():
        return decoded[0]
    values = np.empty(len(decoded), dtype=object)
    values[:] = decoded
    return values.reshape(shape)


def small_values(dataset: h5py.Dataset) -> NDArray[Any] | str | None:
    """
    Values of a header entry: a flat array of numbers, a text, or None if it is neither.

    Header entries come as scalars or in the shapes (1,), (1, 1) and (1, n), texts as variable
    or fixed length strings. A damaged text is none.
    """
    if dataset.shape is None or not _is_small(dataset.shape, dataset.dtype):
        return None
    try:
        return _plain(dataset_value(dataset))
    except FileFormatError:
        return None


def attribute(item: h5py.Dataset, name: str) -> NDArray[Any] | str | None:
    """Attribute of a dataset as :func:`small_values` gives entries; None where there is none."""
    if name not in item.attrs:
        return None
    stored = item.attrs.get_id(name)
    if stored.shape is None or not _is_small(stored.shape, stored.dtype):
        return None
    try:
        return _plain(attribute_value(item, name))
    except FileFormatError:
        return None


def _is_small(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    few = 0 < math.prod(shape) <= _SMALL_VALUES
    return few and dtype.itemsize <= _SMALL_BYTES and dtype.kind in "biufSO"


def _plain(value: Any) -> NDArray[Any] | str | None:
    """Numbers as a flat array; the first of texts, however they are wrapped."""
    if value is None:
        return None
    values = np.asarray(value).ravel()
    if values.dtype.kind in "biuf":
        return values
    first = values[0]
    text = first.decode("utf-8", errors="replace") if isinstance(first, bytes) else str(first)
    return text.strip("\0 ")
