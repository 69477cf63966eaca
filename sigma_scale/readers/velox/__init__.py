"""
Reader of Velox .emd files (FEI, Thermo Fisher): a stream of X-ray events per detector.

The layout is known from RosettaSciIO, which had it from FEI, and from files: below
``Data/SpectrumStream`` each detector has a list of 16-bit words, in which 65535 ends a pixel and
any other word is the channel of one pulse, frame after frame. The rows and columns are those of
the scanned part of the raster (``Scan/ScanSize`` times ``Scan/ScanArea``).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from sigma_scale.errors import NoSpectraError, SigmaScaleWarning
from sigma_scale.readers.guard import decoding, require_file
from sigma_scale.readers.velox.berkeley import read_berkeley
from sigma_scale.readers.velox.images import find_images, image_arrays
from sigma_scale.readers.velox.metadata import (
    calibration,
    elements,
    frame_range_time,
    map_metadata,
    pixel_size,
)
from sigma_scale.readers.velox.source import VeloxSource, rows_per_block
from sigma_scale.readers.velox.streams import (
    Stream,
    chosen_frames,
    chosen_streams,
    count_frames,
    find_shape,
    find_streams,
    n_channels_of,
)
from sigma_scale.readers.velox.structure import (
    FORMAT,
    is_velox,
    listing,
    open_file,
    rows_of_json,
)
from sigma_scale.spectra import EnergyAxis, SpectrumImage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import h5py

__all__ = ["read"]

_DEFAULT_SCALE_KEV, _DEFAULT_OFFSET_KEV = 0.01, -0.2


def read(
    path: Path,
    *,
    detectors: Sequence[str | int] | str | int | None = None,
    frames: tuple[int, int] | None = None,
) -> SpectrumImage:
    """
    Read the EDS map of a Velox .emd file, without reading its counts yet.

    Parameters
    ----------
    path : pathlib.Path
        File.
    detectors : sequence of str or int, optional
        Detectors whose counts are summed, by name such as ``"SuperXG21"`` or by number from 0 in
        the order of the microscope's list; by default all.
    frames : tuple of int, optional
        First frame, from 0, and the one after the last of those that are summed; by default all
        that Velox shows.

    Returns
    -------
    SpectrumImage
        The counts, and all images. Of an image with several frames it holds their sum: the same
        frames as of the spectra where it has as many.

    Raises
    ------
    SourceNotFoundError
        If there is no such file.
    FileFormatError
        If it is damaged or not an .emd file.
    NoSpectraError
        If it holds no EDS map.
    ParameterError
        If it has no such detector or frames.

    Notes
    -----
    Where a file doesn't tell its number of frames, or tells different shapes of the map, one of
    its streams is read when the file is opened; otherwise the first block's reading does that.

    RosettaSciIO takes the rows and columns from whichever image the file lists last. Where that
    is another image than the map's, as in files with a reference image and a map of a part of it,
    the two readers differ, and this one's shape is the one that fits the stream.
    """
    require_file(path, FORMAT)
    with decoding(path, FORMAT):
        with open_file(path) as file:
            if is_velox(file):
                return _read_velox(file, path, detectors, frames)
        return read_berkeley(path)


def _read_velox(
    file: h5py.File,
    path: Path,
    detectors: Sequence[str | int] | str | int | None,
    frames: tuple[int, int] | None,
) -> SpectrumImage:
    streams = find_streams(file)
    if not streams:
        raise NoSpectraError(
            f"{path} holds no EDS map that can be read: it has no stream of X-ray events (a "
            f"'pruned' file, or one of images or EELS only). It holds: {listing(file)}."
        )
    streams = chosen_streams(path, streams, detectors)
    stat = path.stat()
    identity = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    images = find_images(file, path, identity)
    told_frames = count_frames(file, streams[0])
    grid = find_shape(file, streams[0], [image.shape for image in images], told_frames)
    n_frames = min(
        told_frames or streams[0].n_frames(file, grid),
        # Each frame but the last needs a word per pixel, whatever the file tells.
        streams[0].n_words // (grid[0] * grid[1]) + 1,
    )
    first, stop = chosen_frames(path, frames, n_frames)
    words = sum(stream.n_words for stream in streams) * (stop - first) / n_frames
    source = VeloxSource(
        path,
        (*grid, n_channels_of(path, streams)),
        (rows_per_block(words, grid[0]), grid[1]),
        tuple(stream.name for stream in streams),
        (first, stop),
        identity,
    )
    pixel = pixel_size(streams[0].texts)
    times = [(stream.texts, stream.last_texts, stream.n_texts) for stream in streams]
    metadata = map_metadata(
        path,
        [stream.texts for stream in streams],
        live_time_s=frame_range_time(times, "LiveTime", (first, stop), n_frames),
        real_time_s=frame_range_time(times, "RealTime", (first, stop), n_frames),
        chosen_elements=elements(_quantification(file)),
    )
    images = [image.limited_to((first, stop), n_frames) for image in images]
    return SpectrumImage(
        source,
        _energy_axis(path, streams, source.shape[2]),
        pixel_size=pixel or (1.0, 1.0),
        pixel_unit="pixel" if pixel is None else "µm",
        metadata=metadata,
        images=image_arrays(images, grid),
    )


def _quantification(file: h5py.File) -> list[dict[str, object]]:
    """Settings that list elements; they moved with version 11."""
    new = rows_of_json(file, "SharedProperties/EDSSpectrumQuantificationSettings")
    return new or rows_of_json(file, "Operations/ImageQuantificationOperation")


def _energy_axis(path: Path, streams: list[Stream], n_channels: int) -> EnergyAxis:
    found = [calibration(stream.texts) for stream in streams]
    if found[0] is None:
        warnings.warn(
            f"{path} doesn't say which energies its channels have: 10 eV per channel from "
            "-0.2 keV is assumed. Calibrate the map before use.",
            SigmaScaleWarning,
            stacklevel=2,
        )
        return EnergyAxis(n_channels, _DEFAULT_SCALE_KEV, _DEFAULT_OFFSET_KEV)
    if len(set(found)) > 1:
        warnings.warn(
            f"The detectors of {path} have different energy axes, but their channels are summed "
            f"as if all had that of {streams[0].detector}. Choose one with the option `detectors`.",
            SigmaScaleWarning,
            stacklevel=2,
        )
    return EnergyAxis(n_channels, *found[0])
