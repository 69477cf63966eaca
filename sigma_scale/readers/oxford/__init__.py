"""
Oxford .h5oina files: HDF5 exported by AZtec, with spectra, element maps and electron images.

What the parts are called and mean is written down in Oxford's specification [1]_.

References
----------
.. [1] https://github.com/oinanoanalysis/h5oina
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sigma_scale.compute import check_memory
from sigma_scale.errors import FileFormatError
from sigma_scale.readers.guard import require_file
from sigma_scale.readers.hdf5.files import dataset_at, opened
from sigma_scale.readers.oxford.header import FORMAT
from sigma_scale.readers.oxford.images import images_of, total_times
from sigma_scale.readers.oxford.lines import elements_and_lines
from sigma_scale.readers.oxford.source import OxfordSource, chunk_shape_for, summed_type
from sigma_scale.readers.oxford.structure import (
    Detector,
    choose_detectors,
    choose_slice,
    slices_of,
)
from sigma_scale.spectra import SpectrumImage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sigma_scale.spectra import EnergyAxis

__all__ = ["read"]


def read(
    path: Path, *, slice_number: int | None = None, detectors: Sequence[int] | None = None
) -> SpectrumImage:
    """
    Read the EDS spectra of an .h5oina file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    slice_number : int, optional
        Which acquisition, by its number in the file; by default the first that has spectra.
    detectors : sequence of int, optional
        Detectors to sum, 1 for ``EDS`` or ``EDS1``; by default all that have spectra.

    Returns
    -------
    SpectrumImage
        Its counts are read when they are needed. Metadata are the first detector's; times are
        means over the detectors.

    Raises
    ------
    NoSpectraError
        If no slice, or not the one chosen, has spectra for each pixel.
    ParameterError
        If there is no such slice or detector.
    FileFormatError
        If the file is damaged, or the detectors can't be summed.
    MemoryLimitError
        If a chunk of the file doesn't fit into memory.
    """
    require_file(path, FORMAT)
    chosen = choose_slice(path, slices_of(path), slice_number, _has_spectra)
    used = choose_detectors(path, chosen, detectors, _has_spectra)
    header = used[0].header
    shape = header.cells()
    source, energy = _source(path, used, shape)
    images = images_of(path, chosen, used, shape)
    elements, lines = elements_and_lines(path, used)
    return SpectrumImage(
        source,
        energy,
        metadata=header.metadata(elements=elements, lines=lines, **total_times(images)),
        images=images,
        **header.scale(),
    )


def _has_spectra(detector: Detector) -> bool:
    return detector.has_spectra


def _source(
    path: Path, detectors: Sequence[Detector], cells: tuple[int, int]
) -> tuple[OxfordSource, EnergyAxis]:
    stored, chunks, axes = [], [], []
    for detector in detectors:
        with opened(path, FORMAT) as file:
            dataset = dataset_at(file, detector.spectra, sparse=True)
            shape, dtype = dataset.shape, dataset.dtype
            chunk = dataset.chunks or (1, shape[-1] if shape else 1)
        if detector.header.cells() != cells:
            raise _unlike(path, detectors, "sizes")
        if len(shape) != len(cells) or shape[0] != math.prod(cells):
            raise FileFormatError(
                f"{path} is damaged: {detector.spectra!r} has the shape {shape}, which isn't one "
                f"spectrum for each of {cells[0]} x {cells[1]} pixels."
            )
        stored.append(dtype)
        chunks.append(chunk)
        axes.append(detector.header.energy_axis(shape[1]) if shape[1] else None)
    if len({*axes}) != 1:
        raise _unlike(path, detectors, "energy axes")
    if len({shape[1] for shape in chunks}) != 1:
        # Chunks of fewer channels are decompressed more often, but no chunk is too large.
        chunks = [(max(c[0] for c in chunks), min(c[1] for c in chunks))]
    pixels, channels = max(chunks)
    source = OxfordSource(
        path,
        FORMAT,
        (*cells, shape[1]),
        summed_type(stored),
        chunk_shape_for(cells[1], pixels),
        datasets=tuple(detector.spectra for detector in detectors),
        stored_chunk=(pixels, channels),
    )
    check_memory(
        2 * source.chunk_bytes * len(detectors),
        what=f"Reading a block of {path}, whose chunks are large,",
        remedy="Rewrite it with smaller chunks, for example with h5repack.",
    )
    axis = axes[0]
    if axis is None:
        raise FileFormatError(f"{path} is damaged: its spectra have no channels.")
    return source, axis


def _unlike(path: Path, detectors: Sequence[Detector], what: str) -> FileFormatError:
    numbers = [detector.number for detector in detectors]
    return FileFormatError(
        f"{path}: the detectors {numbers} have different {what} and can't be summed. Choose one "
        f"with detectors=[{numbers[0]}]."
    )
