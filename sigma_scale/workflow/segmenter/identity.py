"""What tells one map from another, so that a saved state is not put on the wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from sigma_scale.workflow.segmenter.dataset import SegmentedMap

    ChannelSums = Callable[[], NDArray[Any]]

__all__ = ["check_identity", "identity_of"]

_ROUNDING = 1e-6  # of sums of counts that are not whole numbers


def identity_of(segmented: SegmentedMap, channel_sums: ChannelSums) -> dict[str, Any]:
    """
    Describe which map was segmented, as plain values.

    Parameters
    ----------
    segmented : SegmentedMap
        The map.
    channel_sums : callable
        Gives the counts per channel of the whole map, which takes a pass over them. It is only
        called where the hashes of the files that the map was read from are not known.

    Returns
    -------
    dict
        ``shape``, ``features``, ``sources``, ``selection`` and ``channel_sums``; JSON types.
    """
    sources = _sources(segmented)
    with_spectra = segmented.image is not None
    sums = None
    if with_spectra and not _all_hashed(sources):
        sums = np.asarray(channel_sums()).tolist()
    return {
        "shape": list(segmented.shape),
        "features": list(segmented.feature_list),
        "with_spectra": with_spectra,
        "sources": sources,
        "selection": _selection(segmented),
        "channel_sums": sums,
    }


def check_identity(
    saved: Mapping[str, Any], segmented: SegmentedMap, channel_sums: ChannelSums
) -> None:
    """
    Refuse a state that was saved for another map.

    A map is the same if the hashes of its files are, or else its counts per channel: so a state
    saved for a file also fits the store that the file was ingested into.

    Parameters
    ----------
    saved : mapping
        Result of :func:`identity_of` for the map that the state was saved for, of the same shape:
        :func:`read_archive` refuses others.
    segmented : SegmentedMap
        The map that it is to be put on.
    channel_sums : callable
        As for :func:`identity_of`.

    Raises
    ------
    StoreError
        If they are not the same map.
    """
    sources = _sources(segmented)
    if saved["with_spectra"] != (segmented.image is not None):
        same = False
    elif segmented.image is None:
        same = saved["features"] == list(segmented.feature_list) and saved["sources"] == sources
    elif _all_hashed(sources) and saved["sources"] == sources:
        same = saved["selection"] == _selection(segmented)
    else:
        same = saved["channel_sums"] is not None and _same_sums(
            saved["channel_sums"], channel_sums()
        )
    if not same:
        names = ", ".join(str(source.get("name")) for source in saved["sources"])
        raise StoreError(
            f"The state was saved for another map{f' ({names})' if names else ''}. "
            "Give the dataset that it was made from, processed as it was then."
        )


def _sources(segmented: SegmentedMap) -> list[dict[str, Any]]:
    metadata = segmented.metadata
    return [] if metadata is None else [source.to_attrs() for source in metadata.sources]


def _selection(segmented: SegmentedMap) -> dict[str, Any]:
    return {} if segmented.metadata is None else dict(segmented.metadata.selection)


def _all_hashed(sources: list[dict[str, Any]]) -> bool:
    return bool(sources) and all("digest" in source for source in sources)


def _same_sums(saved: list[float], current: NDArray[Any]) -> bool:
    if len(saved) != len(current):
        return False
    if current.dtype.kind in "iu":
        return bool(saved == current.tolist())
    return bool(np.allclose(saved, current, rtol=_ROUNDING, atol=0))
