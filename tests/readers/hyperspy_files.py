"""Writes files of HyperSpy by HyperSpy itself."""

from __future__ import annotations

import shutil
import warnings
import zipfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def older_zarr() -> Iterator[None]:
    """Let RosettaSciIO 0.15 write .zspy: it calls zarr by the names that zarr 2 had."""
    import zarr
    import zarr.storage

    names = {"ZipStore": zarr.storage.ZipStore, "DBMStore": int, "LMDBStore": int}
    with ExitStack() as stack:
        if not hasattr(zarr.storage, "NestedDirectoryStore"):
            for module, name, value in [
                (zarr.storage, "NestedDirectoryStore", zarr.storage.LocalStore),
                *((zarr, name, value) for name, value in names.items()),
            ]:
                stack.enter_context(mock.patch.object(module, name, value, create=True))
        for old, new in (("require_dataset", "require_array"), ("create_dataset", "create_array")):
            if not hasattr(zarr.Group, old):
                method = getattr(zarr.Group, new)
                stack.enter_context(mock.patch.object(zarr.Group, old, method, create=True))
        stack.enter_context(zarr.config.set({"default_zarr_format": 2}))
        yield


def make_data(shape: tuple[int, ...] = (5, 7, 60), dtype: Any = np.uint16) -> np.ndarray:
    """Few counts in each channel."""
    return np.random.default_rng(2).poisson(1.5, shape).astype(dtype)


def make_signal(
    data: Any, kind: str = "SEM", units: str | None = "µm", *, lazy: bool = False
) -> Any:
    """EDS signal from -0.1 keV on with pixels of 0.5 by 0.25; lazy if the data are of dask."""
    import exspy

    signals = {"SEM": exspy.signals.EDSSEMSpectrum, "TEM": exspy.signals.EDSTEMSpectrum}
    signal = signals[kind](data)
    if lazy:
        signal = signal.as_lazy()
    energy = signal.axes_manager.signal_axes[0]
    energy.name, energy.units, energy.scale, energy.offset = "Energy", "keV", 0.02, -0.1
    for axis, scale in zip(signal.axes_manager.navigation_axes, (0.25, 0.5), strict=False):
        axis.scale = scale
        if units is not None:
            axis.units = units
    return signal


def save(signal: Any, path: Path, **options: Any) -> Path:
    """Save a signal with HyperSpy, whatever the version of zarr."""
    with warnings.catch_warnings(), older_zarr():
        warnings.simplefilter("ignore")
        signal.save(path, overwrite=True, **options)
    return path


def write(
    folder: Path,
    data: Any,
    change: Callable[[Any], Any] | None = None,
    *,
    kind: str = "SEM",
    suffix: str = ".hspy",
    units: str | None = "µm",
    **options: Any,
) -> Path:
    """Write an EDS signal with HyperSpy; ``change`` gets it before it is saved."""
    signal = make_signal(data, kind, units)
    if change is not None:
        signal = change(signal) or signal
    return save(signal, folder / f"map{suffix}", **options)


def zipped(folder: Path) -> Path:
    """Zip file of a zarr folder, under the folder's name, which it replaces."""
    draft = folder.with_name(f"{folder.name}.draft")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    shutil.rmtree(folder)
    return draft.rename(folder)
