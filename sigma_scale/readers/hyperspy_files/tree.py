"""
Groups of HyperSpy's hierarchical files as dictionaries, of HDF5 and of zarr alike.

Names of entries tell what a list, a tuple or nothing was [1]_. Pickled objects are never read.

References
----------
.. [1] RosettaSciIO, "HSpy - HyperSpy's HDF5 Specification",
   https://hyperspy.org/rosettasciio/user_guide/supported_formats/hspy.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Tree", "experiments", "refuse_pickle", "signal_axes"]

_MOST_ENTRIES = 20_000
_MOST_VALUES = 65_536
_DEPTH = 12
_PICKLES = ("pickle", "numcodecs.pickle")


class Tree:
    """Reads groups into dictionaries, up to a number of entries in all."""

    def __init__(self) -> None:
        self._left = _MOST_ENTRIES

    def read(self, group: Any, depth: int = _DEPTH) -> dict[str, Any]:
        """
        Read a group's attributes, small arrays and groups.

        Raises
        ------
        FileFormatError
            If it has more entries than any metadata have.
        """
        entries: dict[str, Any] = {}
        for key, value in group.attrs.items():
            self._count()
            name = key.removeprefix("_list_empty_").removeprefix("_tuple_empty_")
            entries[name] = [] if name != key else _plain(value)
        for key in group:
            self._count()
            self._add(entries, key, group[key], depth)
        return entries

    def _add(self, entries: dict[str, Any], key: str, node: Any, depth: int) -> None:
        if hasattr(node, "dtype"):
            if node.size <= _MOST_VALUES and _is_plain(node):
                name = key.removeprefix("_list_").removeprefix("_tuple_")
                entries[name] = _values(node)
        elif depth:
            entries[key] = self.read(node, depth - 1)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise FileFormatError(f"The metadata have more than {_MOST_ENTRIES:,} entries.")


def experiments(root: Any) -> Iterator[tuple[str, Any]]:
    """
    Names and groups of the signals of a file.

    Raises
    ------
    FileFormatError
        If it is not a file of HyperSpy.
    """
    if "Experiments" not in root or hasattr(root["Experiments"], "dtype"):
        raise FileFormatError("There is no group 'Experiments', which every file of HyperSpy has.")
    group = root["Experiments"]
    for name in group:
        if not hasattr(group[name], "dtype") and "data" in group[name]:
            yield name, group[name]


def signal_axes(group: Any, ndim: int) -> list[dict[str, Any]]:
    """
    Axes of a signal, one per dimension of its data.

    Raises
    ------
    FileFormatError
        If there is not one for each.
    """
    names = [f"axis-{i}" for i in range(ndim)]
    holder = group
    if ndim and names[0] not in group and f"_list_{ndim}_axes" in group:
        holder = group[f"_list_{ndim}_axes"]
        names = sorted(holder)
    if len(names) != ndim or any(name not in holder for name in names):
        raise FileFormatError(f"The data have {ndim} dimensions, but there are not as many axes.")
    return [Tree().read(holder[name]) for name in names]


def refuse_pickle(array: Any) -> None:
    """
    Refuse a zarr array that is stored as pickled objects, which can run any program.

    Raises
    ------
    FileFormatError
        If it is.
    """
    metadata = getattr(array, "metadata", None)
    if metadata is None:  # of HDF5, which has no such filter
        return
    stages = [*(getattr(metadata, "filters", None) or ()), getattr(metadata, "compressor", None)]
    stages += list(getattr(metadata, "codecs", None) or ())
    names = {
        str(getattr(stage, "codec_id", "") or getattr(stage, "codec_name", "")) for stage in stages
    }
    if names.intersection(_PICKLES):
        raise FileFormatError(
            f"The array {array.path!r} is stored as pickled objects, which are never read: they "
            "could run any program. Save its numbers as a plain array."
        )


def _is_plain(node: Any) -> bool:
    """Whether an array holds numbers or strings, not objects of any kind."""
    refuse_pickle(node)
    if node.dtype.kind in "iufbSUT":
        return True
    if hasattr(node, "asstr"):
        import h5py

        return h5py.check_string_dtype(node.dtype) is not None
    return bool(node.dtype.kind == "O")  # strings of any length in zarr


def _values(node: Any) -> Any:
    is_text = hasattr(node, "asstr") and node.dtype.kind == "O"
    values = np.asarray(node.asstr()[()] if is_text else node[()])
    return [_plain(value) for value in values.tolist()] if values.ndim == 1 else values


def _plain(value: Any) -> Any:
    """Value of an attribute in the types of Python, as far as it has one."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return None if isinstance(value, str) and value == "_None_" else value
