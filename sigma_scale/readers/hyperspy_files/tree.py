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
from sigma_scale.readers.hdf5.files import members_of
from sigma_scale.readers.hdf5.values import attribute_value, dataset_value, is_text
from sigma_scale.readers.stored_arrays import refuse_pickle

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Tree", "experiments", "in_hdf5", "members", "signal_axes"]

_MOST_ENTRIES = 20_000
_MOST_VALUES = 65_536
_DEPTH = 12


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
        for key in group.attrs:
            self._count()
            value = attribute_value(group, key) if in_hdf5(group) else group.attrs[key]
            name = key.removeprefix("_list_empty_").removeprefix("_tuple_empty_")
            entries[name] = [] if name != key else _plain(value)
        for key, node in members(group).items():
            self._count()
            self._add(entries, key, node, depth)
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
    group = members(root).get("Experiments")
    if group is None or hasattr(group, "dtype"):
        raise FileFormatError("There is no group 'Experiments', which every file of HyperSpy has.")
    for name, signal in members(group).items():
        if not hasattr(signal, "dtype") and "data" in members(signal):
            yield name, signal


def members(group: Any) -> dict[str, Any]:
    """Groups and arrays in a group itself; links of HDF5 to elsewhere are passed over."""
    return members_of(group) if in_hdf5(group) else dict(group.members())


def in_hdf5(node: Any) -> bool:
    """Whether a node is of an HDF5 file."""
    import h5py

    return isinstance(node, h5py.HLObject)


def signal_axes(group: Any, ndim: int) -> list[dict[str, Any]]:
    """
    Axes of a signal, one per dimension of its data.

    Raises
    ------
    FileFormatError
        If there is not one for each.
    """
    names = [f"axis-{i}" for i in range(ndim)]
    holder = members(group)
    if ndim and names[0] not in holder and f"_list_{ndim}_axes" in holder:
        holder = members(holder[f"_list_{ndim}_axes"])
        names = sorted(holder)
    if len(names) != ndim or any(name not in holder for name in names):
        raise FileFormatError(f"The data have {ndim} dimensions, but there are not as many axes.")
    return [Tree().read(holder[name]) for name in names]


def _is_plain(node: Any) -> bool:
    """Whether an array holds numbers or strings, not objects of any kind."""
    refuse_pickle(node)
    if node.dtype.kind in "iufbSUT":
        return True
    if in_hdf5(node):
        return is_text(node.dtype)
    return bool(node.dtype.kind == "O")  # strings of any length in zarr


def _values(node: Any) -> Any:
    values = np.asarray(dataset_value(node) if in_hdf5(node) else node[()])
    return [_plain(value) for value in values.tolist()] if values.ndim == 1 else values


def _plain(value: Any) -> Any:
    """Value of an attribute in the types of Python, as far as it has one."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return None if isinstance(value, str) and value == "_None_" else value
