"""One tile of a mosaic: where it lies, and how its file is opened when it is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError, UnknownLineError
from sigma_scale.mosaic.contrast import choose_contrast
from sigma_scale.mosaic.file_state import is_quick, stamp_of
from sigma_scale.readers import read
from sigma_scale.spectra import SpectrumImage
from sigma_scale.spectra.image import NAVIGATION
from sigma_scale.spectra.window_sums import window_sums
from sigma_scale.xray import window_kev

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from sigma_scale.mosaic.contrast import ImageChoice
    from sigma_scale.spectra import EnergyAxis

__all__ = ["MICROMETRE", "PIXEL", "Tile"]

MICROMETRE, PIXEL = "µm", "pixel"
"""Units of positions."""
_AGAIN = "Make the layout again: give the same command again, once the file is at rest."


@dataclass(frozen=True, kw_only=True, eq=False)
class Tile:
    """
    One tile: what is known of it without reading its counts.

    Parameters
    ----------
    name : str
        Its own name in the mosaic.
    shape : tuple of int
        Rows and columns.
    position : tuple of float
        y and x of its first pixel's centre in the layout's unit, y downwards.
    path : pathlib.Path, optional
        Its file; None for a map in memory.
    options : mapping, optional
        Options of the file's reader.
    pixel_size : tuple of float, default: (1.0, 1.0)
        Height and width of a pixel.
    pixel_unit : str, default: "pixel"
        Unit of the pixel size, ``"µm"`` or ``"pixel"``.
    energy : EnergyAxis, optional
        Energies of its channels.
    instrument : str, default: "SEM"
        Kind of microscope.
    beam_energy_kev : float, optional
        Beam energy in keV.
    stage_mm : tuple of float, optional
        x and y of the stage in millimetres, as the file has them.
    row, column : int, optional
        Cell in the grid of tiles.
    line : int, optional
        Line of the manifest that names it.
    image : SpectrumImage, optional
        The map, if it is in memory.
    stamp : str, optional
        What changes when its files do, made of their sizes and times; None: they may change.

    Raises
    ------
    ParameterError
        If the name or the position is none.
    """

    name: str
    shape: tuple[int, int]
    position: tuple[float, float]
    path: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    pixel_size: tuple[float, float] = (1.0, 1.0)
    pixel_unit: str = PIXEL
    energy: EnergyAxis | None = None
    instrument: str = "SEM"
    beam_energy_kev: float | None = None
    stage_mm: tuple[float, float] | None = None
    row: int | None = None
    column: int | None = None
    line: int | None = None
    image: SpectrumImage | None = field(default=None, repr=False)
    stamp: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for what, text in (("name", self.name), ("path", str(self.path or "-"))):
            if not text or not text.isprintable():
                raise ParameterError(f"The {what} {text!r} of {self.label} must be printable text.")
        if not all(map(math.isfinite, self.position)):
            raise ParameterError(f"The position of {self.label} isn't finite: {self.position}.")

    @classmethod
    def describe(cls, source: Path | SpectrumImage, name: str, **details: Any) -> Tile:
        """
        Open a map and note what is known of it.

        Parameters
        ----------
        source : pathlib.Path or SpectrumImage
            File, or map in memory.
        name : str
            Name of the tile.
        **details
            Further parameters of :class:`Tile`; the position is (0, 0) if not given.

        Returns
        -------
        Tile

        Raises
        ------
        SigmaScaleError
            If the file can't be read; see :func:`sigma_scale.readers.read`.
        """
        in_memory = source if isinstance(source, SpectrumImage) else None
        path = None if isinstance(source, SpectrumImage) else source
        if isinstance(source, SpectrumImage):
            image = source
        else:
            image = read(source, **details.get("options", {}))
        about = image.metadata
        has_stage = about.stage_x_mm is not None and about.stage_y_mm is not None
        return cls(
            **{
                "name": name,
                "shape": image.shape[:2],
                "position": (0.0, 0.0),
                "path": path,
                "pixel_size": image.pixel_size,
                "pixel_unit": MICROMETRE if image.pixel_unit == MICROMETRE else PIXEL,
                "energy": image.energy,
                "instrument": about.instrument,
                "beam_energy_kev": about.beam_energy_kev,
                "stage_mm": (about.stage_x_mm, about.stage_y_mm) if has_stage else None,
                "image": in_memory,
                "stamp": None if path is None else stamp_of(path, image),
                **details,
            }
        )

    @property
    def label(self) -> str:
        """What error messages call it: its name, and the line that names it."""
        return f"tile {self.name!r}" + (f" (line {self.line})" if self.line else "")

    @property
    def heading(self) -> str:
        """Its label at the beginning of a sentence."""
        return self.label[0].upper() + self.label[1:]

    def read(self) -> SpectrumImage:
        """
        Open the map; its counts are read when they are needed.

        Raises
        ------
        ParameterError
            If its files have changed since the layout was made.
        SigmaScaleError
            If the file can't be read.
        """
        if self.image is not None:
            return self.image
        if self.path is None:
            raise ParameterError(f"{self.label} has neither a file nor a map in memory.")
        image = read(self.path, **self.options)
        if image.shape[:2] != self.shape:
            raise ParameterError(
                f"The map of {self.label}, {self.path}, has {image.shape[:2]} pixels and had "
                f"{self.shape} when the layout was made. {_AGAIN}"
            )
        self.refuse_changed(image)
        return image

    def refuse_changed(self, image: SpectrumImage, *, quick: bool = False) -> None:
        """
        Refuse to go on with files that are not those any more that the layout was made of.

        Only sizes and times are compared, so that it can be done often.

        Parameters
        ----------
        image : SpectrumImage
            The map as it was opened.
        quick : bool, default: False
            Pass over folders of other programs, which may hold thousands of files.

        Raises
        ------
        ParameterError
            If they have been replaced or written to.
        FileFormatError
            If they can't be looked at.
        """
        if self.path is None or self.stamp is None or (quick and not is_quick(self.path, image)):
            return
        if stamp_of(self.path, image) == self.stamp:
            return
        raise ParameterError(
            f"The file of {self.label}, {self.path}, has been replaced or changed since the layout "
            f"was made. {_AGAIN}"
        )

    def has_navigation(self) -> bool:
        """
        Whether its file has a navigation image of the map's size.

        Raises
        ------
        SigmaScaleError
            If the file can't be read.
        """
        shown = self.read().images.get(NAVIGATION)
        return shown is not None and shown.shape == self.shape

    def picture(self, image: ImageChoice = "auto") -> NDArray[Any]:
        """
        Read the picture that tiles are compared by.

        Parameters
        ----------
        image : str or Contrast, default: "auto"
            Name of an image of the file that has the map's size; an X-ray line such as ``"Fe_Ka"``
            for the counts about it; ``"total"`` for all counts of each pixel; a contrast for the
            picture that it gives; ``"auto"`` for the navigation image, or where there is none the
            contrast that shows this tile's phases, or the counts where there are no spectra. For
            one that suits many tiles see :func:`~sigma_scale.mosaic.contrast.shared_image`.

        Returns
        -------
        numpy.ndarray, shape (y, x)
            Of the image's type; uint32 or uint64 for integer counts, float32 for a contrast.

        Raises
        ------
        ParameterError
            If there is no such image or line.
        EnergyRangeError
            If the line is not among the measured energies.
        """
        from dask.base import is_dask_collection as is_dask

        opened = self.read()
        if image == "auto":
            image = NAVIGATION if self.has_navigation() else choose_contrast([self])
        if not isinstance(image, str):
            return image.picture(opened)
        if image in opened.images and opened.images[image].shape == self.shape:
            data = opened.images[image].data
            # Asked for by tasks that are themselves spread over threads or a cluster.
            return np.asarray(data.compute(scheduler="sync") if is_dask(data) else data)
        channels = range(opened.shape[2]) if image == "total" else self._line(opened, image)
        sums, _ = window_sums(opened.source, (channels,))
        return np.asarray(sums.compute(scheduler="sync"))[..., 0]

    def _line(self, opened: SpectrumImage, name: str) -> range:
        """Channels about an X-ray line."""
        try:
            low, high = window_kev(name)
        except UnknownLineError as error:
            fitting = [image for image, item in opened.images.items() if item.shape == self.shape]
            there_are = ", ".join([*fitting, "total"])
            raise ParameterError(
                f"There is no image {name!r} of the map's size in {self.label}, and no such X-ray "
                f"line; there are {there_are} and lines such as Fe_Ka."
            ) from error
        return opened.energy.window_channels(low, high, name=f"{name} in {self.label}")
