"""Pixels that a user selects, and how a selection is written down."""

from __future__ import annotations

import base64
import binascii
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.latent.rows import in_threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

__all__ = ["as_mask", "decode_mask", "encode_mask", "inside_polygon", "measured_only"]

_ENCODING = "bits+zlib+base64"
_FEWEST_CORNERS = 3

_BANDS = 512
"""Bands into which a polygon is cut; most of them then hold two edges of a lasso."""
_PART = 1 << 18
"""Pixels for which a thread pays."""


def as_mask(selection: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """
    Bring a selection of pixels into a flat mask.

    Parameters
    ----------
    selection : array-like
        A mask, bool, of shape (y, x) or (y * x,); or numbers of pixels in row-major order.
    shape : tuple of int
        Rows and columns of the map.

    Returns
    -------
    numpy.ndarray, shape (y * x,), bool

    Raises
    ------
    ShapeMismatchError
        If a mask is of another shape than the map.
    ParameterError
        If the numbers are not those of pixels, or the selection is neither bool nor integer.
    EmptyMapError
        If no pixel is selected.
    """
    values = np.asarray(selection)
    n_pixels = shape[0] * shape[1]
    if values.dtype == np.bool_:
        if values.shape not in {tuple(shape), (n_pixels,)}:
            raise ShapeMismatchError(
                f"The mask has the shape {values.shape}, the map {tuple(shape)}."
            )
        mask = values.reshape(n_pixels)
    elif values.size == 0:
        raise EmptyMapError("The selection has no pixels. Select at least one.")
    elif values.dtype.kind in "iu" and values.ndim == 1:
        if values.min() < 0 or values.max() >= n_pixels:
            raise ParameterError(
                f"Numbers of pixels go from 0 to {n_pixels - 1}, the selection goes from "
                f"{values.min()} to {values.max()}."
            )
        mask = np.zeros(n_pixels, dtype=np.bool_)
        mask[values] = True
    else:
        raise ParameterError(
            "Select pixels by a mask of the map (bool) or a list of their numbers (integers), not "
            f"{values.dtype} of shape {values.shape}."
        )
    if not mask.any():
        raise EmptyMapError("The selection has no pixels. Select at least one.")
    return mask


def measured_only(mask: NDArray[np.bool_], gaps: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """
    Take the gaps of a mosaic out of a selection.

    Parameters
    ----------
    mask : array, shape (n,), bool
        Pixels selected.
    gaps : array, shape (n,), bool, or None
        Pixels that were not measured.

    Returns
    -------
    numpy.ndarray, shape (n,), bool
        The mask itself where it holds none of them.

    Raises
    ------
    EmptyMapError
        If it holds nothing else.
    """
    if gaps is None or not (mask & gaps).any():
        return mask
    kept: NDArray[np.bool_] = mask & ~gaps
    if not kept.any():
        raise EmptyMapError("Nothing was measured there: it is a gap between tiles of the mosaic.")
    return kept


def inside_polygon(rows: NDArray[Any], corners: ArrayLike) -> NDArray[np.bool_]:
    """
    Find the pixels whose first two latent coordinates lie inside a polygon.

    Where a polygon crosses itself, what its outline goes around twice lies outside (the even-odd
    rule). A pixel exactly on an edge may lie on either side.

    Parameters
    ----------
    rows : array, shape (n, component)
        Latent coordinates; pixels with NaN lie nowhere.
    corners : array-like, shape (corner, 2)
        Corners in order; the last is joined to the first.

    Returns
    -------
    numpy.ndarray, shape (n,), bool

    Raises
    ------
    ParameterError
        If there are fewer than three corners, they are not pairs of finite numbers, or the
        latent space has only one component.
    EmptyMapError
        If no pixel lies inside.
    """
    from sigma_scale.workflow.segmenter.pixel_kernels import mark_inside, sort_edges

    try:
        points = np.array(corners, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise ParameterError(f"The corners of a polygon are pairs of numbers: {error}") from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < _FEWEST_CORNERS:  # noqa: PLR2004
        raise ParameterError(
            f"A polygon has at least three corners, each a pair of numbers; got {points.shape}."
        )
    if not np.isfinite(points).all():
        raise ParameterError("The corners of a polygon must be finite.")
    if rows.shape[1] < 2:  # noqa: PLR2004
        raise ParameterError("A polygon needs a latent space of at least two components.")
    if not (rows.flags.c_contiguous and rows.dtype in {np.dtype("f4"), np.dtype("f8")}):
        rows = np.ascontiguousarray(rows[:, :2], dtype=np.float64)
    inside = np.empty(len(rows), dtype=np.bool_)
    starts, edges = sort_edges(points, _BANDS)
    workers = max(1, min(compute.local_workers(), -(-len(rows) // _PART)))
    ends = [len(rows) * k // workers for k in range(workers + 1)]
    found = in_threads(
        lambda part: mark_inside(rows, *part, points, starts, edges, inside),
        pairwise(ends),
        workers,
    )
    if not any(found):
        raise EmptyMapError("No pixel lies inside the polygon.")
    return inside


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """
    Write a mask down as plain values: its bits, compressed, as text.

    Parameters
    ----------
    mask : array, shape (n,), bool
        Pixels.

    Returns
    -------
    dict
        ``encoding``, ``size`` and ``data``.
    """
    packed = zlib.compress(np.packbits(mask).tobytes(), level=1)
    return {
        "encoding": _ENCODING,
        "size": int(mask.size),
        "data": base64.b64encode(packed).decode("ascii"),
    }


def decode_mask(written: Mapping[str, Any], n_pixels: int) -> NDArray[np.bool_]:
    """
    Read a mask from what :func:`encode_mask` wrote.

    Parameters
    ----------
    written : mapping
        What it wrote.
    n_pixels : int
        Pixels of the map.

    Returns
    -------
    numpy.ndarray, shape (n_pixels,), bool

    Raises
    ------
    ParameterError
        If it is not such a mask, or is one of another map.
    """
    if written.get("encoding") != _ENCODING or not isinstance(written.get("data"), str):
        raise ParameterError(f"Pixels are written as {_ENCODING}, not {written.get('encoding')!r}.")
    if written.get("size") != n_pixels:
        raise ShapeMismatchError(
            f"The selection is of a map of {written.get('size')} pixels, this one has {n_pixels}."
        )
    n_bytes = -(-n_pixels // 8)
    try:
        packed = base64.b64decode(written["data"], validate=True)
        # One byte more than expected is enough to see that there is too much.
        content = zlib.decompressobj().decompress(packed, n_bytes + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ParameterError(f"A selection of pixels is damaged: {error}") from error
    if len(content) != n_bytes:
        raise ParameterError(f"A selection has {len(content)} bytes instead of {n_bytes}.")
    return np.unpackbits(np.frombuffer(content, np.uint8), count=n_pixels).astype(np.bool_)
