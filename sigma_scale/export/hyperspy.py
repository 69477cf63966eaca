"""Maps, labels and spectra as signals of HyperSpy, in memory or lazy, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ParameterError
from sigma_scale.export import hspy, zspy
from sigma_scale.export.hyperspy_layout import metadata_tree, signal_tree
from sigma_scale.export.scale import name_of, pixel_size
from sigma_scale.export.target import check_target, has_ending, write_whole
from sigma_scale.spectra import MapMetadata, SpectrumImage

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

__all__ = ["array_from_hyperspy", "export_signal", "to_hyperspy"]

_OWN = "sigma_scale"
"""Branch of a signal's metadata for what HyperSpy has no place for, such as names of lines."""
_NAMES = {"y": "height", "x": "width", "energy": "Energy"}
_DATA_COPIES = 2  # dense blocks, and what they are put together to


def to_hyperspy(
    data: SpectrumImage | xr.DataArray,
    *,
    lazy: bool | None = None,
    metadata: MapMetadata | None = None,
) -> Any:
    """
    Make a signal of HyperSpy.

    Parameters
    ----------
    data : SpectrumImage or xarray.DataArray
        A map, as seen through its processing; or an array with the dimension ``energy`` (spectra)
        or with ``y`` and ``x`` (maps, labels), and at most one further dimension.
    lazy : bool, optional
        Whether the signal is lazy, on arrays of Dask; else everything is computed and held in
        memory. None: lazy for maps of counts, and for others as they are.
    metadata : MapMetadata, optional
        What is known of the map, for arrays; a map knows its own.

    Returns
    -------
    hyperspy.signals.BaseSignal
        ``EDSSEMSpectrum`` or ``EDSTEMSpectrum`` of eXSpy for what has energies, else ``Signal2D``;
        further dimensions are navigated. Axes have their scale, offset and units; ``Sample`` and
        ``Acquisition_instrument`` are filled in.

    Raises
    ------
    ParameterError
        If the dimensions are others.
    MemoryLimitError
        If the map is to be computed and doesn't fit the memory limit.

    Notes
    -----
    What is not known of the detector gets the defaults of eXSpy, as in any signal of its. Back go
    :func:`sigma_scale.readers.arrays.from_hyperspy` for maps and :func:`array_from_hyperspy` for
    others.
    """
    if isinstance(data, SpectrumImage):
        tree = signal_tree(data)
        axes = [tree[f"axis-{i}"] for i in range(3)]
        return _signal(
            data.to_xarray().data, axes, tree, lazy=lazy is not False, kind=data.metadata.instrument
        )
    ordered, dim, axes = _arranged(data)
    tree = {"metadata": metadata_tree(metadata or MapMetadata()), "original_metadata": {}}
    spectral = "energy" in data.dims
    if not spectral:
        del tree["metadata"]["Signal"]
    tree["metadata"]["General"]["title"] = name_of(data, "")
    tree["metadata"][_OWN] = {"dim": dim, "units": str(data.attrs.get("units", ""))}
    if dim and dim in data.coords:
        tree["metadata"][_OWN]["names"] = data[dim].to_numpy().tolist()
    kind = (metadata or MapMetadata()).instrument if spectral else "2D"
    chosen = ordered.chunks is not None if lazy is None else lazy
    return _signal(ordered.data, axes, tree, lazy=chosen, kind=kind)


def export_signal(
    data: xr.DataArray,
    path: str | Path,
    *,
    metadata: MapMetadata | None = None,
    overwrite: bool = False,
) -> Path:
    """
    Write maps, labels or spectra as a file of HyperSpy.

    Parameters
    ----------
    data : xarray.DataArray
        As in :func:`to_hyperspy`; lazy data are computed block by block. For the counts of a map
        use :func:`~sigma_scale.export.export_counts`.
    path : path
        Where to; ends in ``.hspy`` (HDF5) or ``.zspy`` (zarr 2, a folder).
    metadata : MapMetadata, optional
        What is known of the map.
    overwrite : bool, default: False
        Replace an earlier file of HyperSpy. Anything else is never replaced.

    Returns
    -------
    pathlib.Path
        What was written.

    Raises
    ------
    ParameterError
        If the name or the dimensions don't fit.
    OutputExistsError
        If something is at the path already that may not be replaced.
    StoreError
        If writing fails. Nothing is left behind then.
    """
    path = Path(path)
    has_ending(path, tuple(_WRITERS), "A signal")
    target, write = _WRITERS[path.suffix.lower()]
    check_target(path, overwrite=overwrite, replaceable=target.is_export)
    signal = to_hyperspy(data, metadata=metadata)
    content = signal._to_dictionary(add_models=False)  # noqa: SLF001 - what HyperSpy's save gives
    content |= {"models": {}, "package_info": {"package": "", "package_version": ""}}
    return write_whole(path, lambda draft: write(draft, content), is_export=target.is_export)


def _write_hspy(draft: Path, content: dict[str, Any]) -> None:
    from rsciio.hspy import file_writer

    file_writer(str(draft), content, show_progressbar=False)


_WRITERS: dict[str, tuple[Any, Callable[[Path, dict[str, Any]], None]]] = {
    ".hspy": (hspy, _write_hspy),
    ".zspy": (zspy, zspy.write_signal),
}


def array_from_hyperspy(signal: Any) -> xr.DataArray:
    """
    Make a labelled array of a signal of HyperSpy that holds maps, labels or spectra.

    Parameters
    ----------
    signal : hyperspy.signals.Signal1D or Signal2D
        With up to one navigation axis; lazy or not.

    Returns
    -------
    xarray.DataArray, shape (y, x), (y, x, other), (energy,) or (other, energy)
        On the signal's own data. Coordinates carry the units; names of a further dimension come
        back where :func:`to_hyperspy` wrote them.

    Raises
    ------
    ParameterError
        If the signal has other axes.
    """
    import xarray as xr

    manager = signal.axes_manager
    inner, outer = len(manager.signal_axes), len(manager.navigation_axes)
    if inner not in {1, 2} or outer > 1:
        raise ParameterError(
            f"A signal with {inner} signal axes and {outer} navigation axes is no map and no set "
            "of spectra. Use readers.arrays.from_hyperspy for spectrum images."
        )
    own = signal.metadata.get_item(_OWN)
    described = {} if own is None else own.as_dictionary()
    dim = str(described.get("dim") or manager.navigation_axes[0].name) if outer else ""
    dims = [*([dim] if outer else []), *(("y", "x") if inner == 2 else ("energy",))]  # noqa: PLR2004
    axes = [*manager.navigation_axes, *reversed(manager.signal_axes)]
    coords: dict[str, Any] = {}
    for name, axis in zip(dims, axes, strict=True):
        if name == dim:
            names = described.get("names")
            coords[name] = (name, np.asarray(axis.axis if names is None else names))
        else:
            coords[name] = (name, axis.axis, {"units": _our_units(axis.units)})
    units = described.get("units")
    array = xr.DataArray(
        signal.data,
        dims=dims,
        coords=coords,
        name=signal.metadata.General.title or None,
        attrs={"units": units} if units else {},
    )
    return array.transpose("y", "x", ...) if inner == 2 else array  # noqa: PLR2004


def _our_units(units: Any) -> str:
    name = str(units)
    return "pixel" if name in {"px", "<undefined>", "", "None"} else name.replace("μ", "µ")


def _arranged(data: xr.DataArray) -> tuple[xr.DataArray, str, list[dict[str, Any]]]:
    """Data with what is navigated first, that dimension, and the axes."""
    inner = ("energy",) if "energy" in data.dims else ("y", "x")
    others = [str(dim) for dim in data.dims if dim not in inner]
    if not set(inner) <= set(data.dims) or len(others) > 1:
        raise ParameterError(
            f"The dimensions {data.dims} are no map (y, x) and no spectra (energy) with at most "
            "one other dimension. Choose a part with isel, or use a SpectrumImage for counts."
        )
    dim = others[0] if others else ""
    size = pixel_size(data) if inner == ("y", "x") else None
    axes = [_axis(data, dim, None, navigate=True)] if dim else []
    for i, name in enumerate(inner):
        axes.append(_axis(data, name, None if size is None else size[i], navigate=False))
    return data.transpose(*others, *inner), dim, axes


def _axis(data: xr.DataArray, dim: str, step: float | None, *, navigate: bool) -> dict[str, Any]:
    axis: dict[str, Any] = {
        "_type": "UniformDataAxis", "name": _NAMES.get(dim, dim), "size": data.sizes[dim],
        "scale": 1.0, "offset": 0.0, "navigate": navigate, "units": "" if navigate else "px",
    }  # fmt: skip
    if navigate or dim not in data.coords:
        return axis
    values = data.coords[dim].to_numpy().astype(np.float64)
    if dim == "energy" and values.size > 1:
        step = float(values[-1] - values[0]) / (values.size - 1)
    units = str(data.coords[dim].attrs.get("units", "keV" if dim == "energy" else "pixel"))
    if step is None and values.size > 1:
        step = float(values[-1] - values[0]) / (values.size - 1)
    sign = -1.0 if dim != "energy" and values.size > 1 and values[-1] < values[0] else 1.0
    return axis | {
        "scale": sign * abs(step) if step else 1.0,
        "offset": float(values[0]),
        "units": "px" if units == "pixel" else units,
        "is_binned": dim == "energy",
    }


def _signal(
    data: Any, axes: list[dict[str, Any]], tree: dict[str, Any], *, lazy: bool, kind: str
) -> Any:
    import dask.array as da

    if not lazy and hasattr(data, "dask"):
        compute.check_memory(
            _DATA_COPIES * data.nbytes,
            what="A signal in memory",
            remedy="Use lazy=True, or export fewer channels or a binned map.",
        )
        (data,) = compute.run(data, description="Computing the signal")
    if lazy and not hasattr(data, "dask"):
        data = da.from_array(data)
    described = {key: tree[key] for key in ("metadata", "original_metadata")}
    return _class_of(kind, lazy=lazy)(data, axes=axes, **described)


def _class_of(kind: str, *, lazy: bool) -> Any:
    if kind == "2D":
        from hyperspy.signals import LazySignal2D, Signal2D

        return LazySignal2D if lazy else Signal2D
    from exspy import signals

    return getattr(signals, f"{'Lazy' if lazy else ''}EDS{kind}Spectrum")
