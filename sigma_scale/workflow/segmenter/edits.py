"""
Edits of clusters, each a record of plain values that can be written as JSON.

A record says what was done to which clusters and pixels. Records applied in their order to the
same first state give the same labels, bit by bit, so the log of edits is all that has to be kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.clustering.labels import NOISE
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.workflow.segmenter.clusters import (
    ClusterState,
    PixelState,
    free_colour,
    renumbered,
)
from sigma_scale.workflow.segmenter.selection import decode_mask, measured_only

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

__all__ = ["EDITS", "apply_edit"]

_FEWEST_MERGED = 2


def apply_edit(
    state: ClusterState, record: Mapping[str, Any], mask: NDArray[np.bool_] | None = None
) -> ClusterState:
    """
    Apply one edit.

    Parameters
    ----------
    state : ClusterState
        State before; it stays as it is.
    record : mapping
        The edit. ``record["edit"]`` names it, one of :data:`EDITS`; the rest depends on it.
    mask : array, shape (n,), bool, optional
        Pixels of the edit, where they are at hand; else they are read from the record.

    Returns
    -------
    ClusterState
        State after.

    Raises
    ------
    ParameterError
        If there is no such edit, the record lacks something, or names a cluster, colour or pixel
        that can't be.
    EmptyMapError
        If the edit selects no pixel, or only such that were not measured; others of these are
        left out.
    """
    kind = record.get("edit")
    if not isinstance(kind, str) or kind not in EDITS:
        raise ParameterError(f"There is no edit {kind!r}; there are: {', '.join(EDITS)}.")
    edit, needed = EDITS[kind]
    missing = [name for name in needed if name not in record]
    if missing:
        raise ParameterError(f"The edit {kind!r} lacks {', '.join(missing)}.")
    if "pixels" in needed and mask is None:
        if not isinstance(record["pixels"], dict):
            raise ParameterError(f"The pixels of the edit {kind!r} are damaged.")
        mask = decode_mask(record["pixels"], state.pixels.labels.size)
    if mask is None:
        mask = np.zeros(0, np.bool_)  # for edits without pixels
    elif not mask.any():
        raise EmptyMapError("The selection has no pixels. Select at least one.")
    else:
        mask = measured_only(mask, state.pixels.gaps)
    return edit(state, record, mask)


def _merge(state: ClusterState, record: Mapping[str, Any], _mask: object) -> ClusterState:
    clusters = sorted(state.checked(_listed(record["clusters"])))
    if len(clusters) < _FEWEST_MERGED:
        raise ParameterError(f"Merge at least two different clusters, not {record['clusters']}.")
    kept = [k for k in range(state.pixels.n_clusters) if k not in clusters[1:]]
    number = {old: new for new, old in enumerate(kept)}
    merged = number[clusters[0]]
    after = renumbered(state, [number.get(old, merged) for old in range(state.pixels.n_clusters)])
    return _named(after, merged, record["name"]) if record.get("name") is not None else after


def _create(
    state: ClusterState, record: Mapping[str, Any], mask: NDArray[np.bool_]
) -> ClusterState:
    number = state.pixels.n_clusters
    colour = record.get("colour")
    after = ClusterState(
        _moved(state.pixels, mask, number),
        (*state.colours, free_colour(state) if colour is None else _hex(colour)),
        (*state.names, None),
        state.noise_colour,
    )
    return _named(after, number, record["name"]) if record.get("name") is not None else after


def _relabel(
    state: ClusterState, record: Mapping[str, Any], mask: NDArray[np.bool_]
) -> ClusterState:
    (cluster,) = state.checked([record["cluster"]], noise=True)
    return replace(state, pixels=_moved(state.pixels, mask, cluster))


def _recolour(state: ClusterState, record: Mapping[str, Any], _mask: object) -> ClusterState:
    clusters = state.checked(_listed(record["clusters"]), noise=True)
    if not clusters:
        raise ParameterError("Name at least one cluster to recolour.")
    colour = _hex(record["colour"])
    colours = tuple(
        colour if number in clusters else before for number, before in enumerate(state.colours)
    )
    noise = colour if NOISE in clusters else state.noise_colour
    return replace(state, colours=colours, noise_colour=noise)


def _rename(state: ClusterState, record: Mapping[str, Any], _mask: object) -> ClusterState:
    (cluster,) = state.checked([record["cluster"]])
    return _named(state, cluster, record["name"])


def _drop_empty(state: ClusterState, _record: Mapping[str, Any], _mask: object) -> ClusterState:
    numbers = np.cumsum(state.pixels.sizes() > 0) - 1
    new = np.where(state.pixels.sizes() > 0, numbers, NOISE)
    return renumbered(state, new.tolist())


EDITS: dict[str, tuple[Callable[..., ClusterState], tuple[str, ...]]] = {
    "merge": (_merge, ("clusters",)),
    "create": (_create, ("pixels",)),
    "relabel": (_relabel, ("pixels", "cluster")),
    "recolour": (_recolour, ("clusters", "colour")),
    "rename": (_rename, ("cluster", "name")),
    "drop_empty": (_drop_empty, ()),
}
"""Edits by name: the function, and what a record must hold."""


def _moved(pixels: PixelState, mask: NDArray[np.bool_], cluster: int) -> PixelState:
    """Put pixels into a cluster, an existing one, the next one or noise."""
    labels = pixels.labels.copy()
    labels[mask] = cluster
    return replace(
        pixels,
        labels=labels,
        edited=pixels.edited | mask,
        n_clusters=max(pixels.n_clusters, cluster + 1),
    )


def _named(state: ClusterState, cluster: int, name: object) -> ClusterState:
    if not isinstance(name, str) or not name.strip():
        raise ParameterError(f"The name of a cluster is a text, not {name!r}.")
    others = {known for number, known in enumerate(state.names) if number != cluster}
    if name in others:
        raise ParameterError(f"There is a cluster {name!r} already. Choose another name.")
    names = list(state.names)
    names[cluster] = name
    return replace(state, names=tuple(names))


def _listed(clusters: object) -> list[object]:
    if isinstance(clusters, list | tuple | set | range):
        return list(clusters)
    raise ParameterError(f"Give a list of clusters, not {clusters!r}.")


def _hex(colour: object) -> str:
    from matplotlib.colors import is_color_like, to_hex

    if not is_color_like(colour):
        raise ParameterError(f"{colour!r} is not a colour; use a name or '#rrggbb'.")
    return str(to_hex(colour))  # type: ignore[arg-type]
