"""Formats without a reader of their own, by way of RosettaSciIO."""

from __future__ import annotations

import math
from copy import deepcopy
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.compute import check_memory
from sigma_scale.errors import FileFormatError
from sigma_scale.files import size_of
from sigma_scale.readers.guard import decoding, require_file
from sigma_scale.readers.signals import choose_eds, image_from_signals, map_layout
from sigma_scale.readers.xarray_files.axes import default_energy_axis

if TYPE_CHECKING:
    from pathlib import Path

    from sigma_scale.spectra import SpectrumImage

    Signal = dict[str, Any]

__all__ = ["SUFFIXES", "read"]

_MAPPED = {".dm3": "digitalmicrograph", ".dm4": "digitalmicrograph", ".lsd": "edax", ".spd": "edax"}
"""Formats whose counts RosettaSciIO maps into memory, and its modules."""

SUFFIXES: tuple[str, ...] = tuple(sorted([*_MAPPED, ".elid"]))
"""File name endings of formats that can hold EDS maps."""

_ENERGIES = ("ev", "kev")
_CHUNK_SIZE = "16MiB"
_ELID_GROWTH = 40
"""Bytes in memory per byte of an .elid file: numbers of one byte or more become of four, and
the file is inflated whole."""


def read(path: Path, *, title: str | None = None) -> SpectrumImage:
    """
    Read an EDS map that RosettaSciIO can read.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    title : str, optional
        Title of the map, where the file holds several; else the first.

    Returns
    -------
    SpectrumImage
        Signed counts become unsigned, floats stay as they are.

    Raises
    ------
    SourceNotFoundError
        If there is no file.
    FileFormatError
        If the file is damaged or of another format.
    NoSpectraError
        If it holds no EDS map.
    ParameterError
        If it holds none with the title.
    MemoryLimitError
        If the format can only be read whole, and that would take too much memory.
    """
    suffix = path.suffix.lower()
    format_name = suffix
    require_file(path, format_name)
    with decoding(path, format_name):
        with _DecoderErrors(path, format_name):
            signals = _mapped(path, _MAPPED[suffix]) if suffix in _MAPPED else _whole(path)
        signals = [_described(signal) for signal in signals]
        eds = choose_eds(path, signals, title)
        if _is_calibrated(eds):
            return image_from_signals(path, eds, signals, format_name=format_name)
        layout, axes = map_layout(eds)
        energy = default_energy_axis(
            layout.of_map(eds["data"].shape)[2],
            str(path),
            "Put the .spc file of the map beside it, or use "
            "sigma_scale.calibration.set_calibration.",
        )
        axis = {"scale": energy.scale_kev, "offset": energy.offset_kev, "units": "keV"}
        eds["axes"][layout.energy] = axes[2] | axis
        return image_from_signals(path, eds, signals, format_name=format_name)


class _DecoderErrors:
    """Turns errors that RosettaSciIO raises with types of its own, or with none, into ours."""

    def __init__(self, path: Path, format_name: str) -> None:
        self._what = f"{path} is damaged or not a {format_name} file"

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if kind is None:
            return
        # The reader of .elid files raises bare Exceptions, which have no other name to go by; a
        # DigitalMicrograph tag of a type that isn't known leaves a variable without a value.
        if kind in (Exception, UnboundLocalError) or kind.__module__ == "rsciio.exceptions":
            raise FileFormatError(f"{self._what}: {error}") from error


def _described(signal: Signal) -> Signal:
    """
    Signal with what HyperSpy makes of it when it loads it.

    The energy axis of a DigitalMicrograph map is the one in eV or keV, else the first; and some
    metadata are given as places in the original metadata only.
    """
    metadata = deepcopy(signal["metadata"])
    for place, targets in (signal.get("mapping") or {}).items():
        value = _entry(signal["original_metadata"], place)
        for target, function in [targets] if isinstance(targets, tuple) else targets:
            if value is not None:
                _set_entry(metadata, target, value if function is None else function(value))
    axes = [dict(axis) for axis in signal["axes"]]
    if len(axes) > 2 and sum(not axis.get("navigate", False) for axis in axes) > 1:  # noqa: PLR2004
        in_ev = [i for i, axis in enumerate(axes) if str(axis.get("units")).lower() in _ENERGIES]
        energy = in_ev[0] if len(in_ev) == 1 else 0
        axes = [axis | {"navigate": i != energy} for i, axis in enumerate(axes)]
    return {**signal, "axes": axes, "metadata": metadata}


def _entry(tree: Any, place: str) -> Any:
    for part in place.split("."):
        if not hasattr(tree, "get") or part not in tree:
            return None
        tree = tree[part]
    return tree


def _set_entry(tree: dict[str, Any], place: str, value: Any) -> None:
    *groups, name = place.split(".")
    for part in groups:
        tree = tree.setdefault(part, {})
    tree[name] = value


def _mapped(path: Path, module: str) -> list[Signal]:
    """Signals with lazy data, after a look at their sizes."""
    import dask

    file_reader = import_module(f"rsciio.{module}").file_reader
    # With a single chunk the size costs nothing, whatever the header claims it to be.
    size = size_of(path)
    for signal in file_reader(str(path), lazy=True, chunks=-1):
        shape, dtype = signal["data"].shape, np.dtype(signal["data"].dtype)
        claimed = math.prod(map(int, shape)) * dtype.itemsize
        if claimed > size:
            raise FileFormatError(
                f"{path} is truncated or damaged: its header describes {claimed:,} bytes of "
                f"counts, but it holds {size:,} bytes in all."
            )
    with dask.config.set({"array.chunk-size": _CHUNK_SIZE}):
        return list(file_reader(str(path), lazy=True, chunks="auto"))


def _whole(path: Path) -> list[Signal]:
    """Signals of a Phenom .elid file, which can only be read whole."""
    from rsciio.phenom import file_reader

    check_memory(
        _ELID_GROWTH * size_of(path),
        what=f"Reading {path}, which can only be read whole,",
        remedy="Raise memory_limit, or export the map to another format.",
    )
    return list(file_reader(str(path)))


def _is_calibrated(eds: Signal) -> bool:
    """Whether the energy axis has units: without, an EDAX file has no .spc beside it."""
    layout, _ = map_layout(eds)
    return bool(eds["axes"][layout.energy].get("units"))
