"""What tells one map from another, so that a saved state is not put on the wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ShapeMismatchError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from sigma_scale.workflow.segmenter.dataset import SegmentableDataset

    ChannelSums = Callable[[], NDArray[Any]]

__all__ = ["check_identity", "identity_of"]

_ROUNDING = 1e-6  # of sums of counts that are not whole numbers


def identity_of(dataset: SegmentableDataset, channel_sums: ChannelSums) -> dict[str, Any]:
    """
    Describe which map a dataset is, as plain values.

    Parameters
    ----------
    dataset : SegmentableDataset
        The map.
    channel_sums : callable
        Gives the counts per channel of the whole map, which takes a pass over them. It is only
        called where the hashes of the files that the map was read from are not known.

    Returns
    -------
    dict
        ``shape``, ``features``, ``sources``, ``selection`` and ``channel_sums``; JSON types.
    """
    metadata = _metadata(dataset)
    sources = [] if metadata is None else [source.to_attrs() for source in metadata.sources]
    with_spectra = dataset.processed is not None
    sums = None
    if with_spectra and not _all_hashed(sources):
        sums = np.asarray(channel_sums()).tolist()
    return {
        "shape": [int(size) for size in dataset.shape[:2]],
        "features": list(dataset.feature_list),
        "with_spectra": with_spectra,
        "sources": sources,
        "selection": {} if metadata is None else dict(metadata.selection),
        "channel_sums": sums,
    }


def check_identity(
    saved: Mapping[str, Any], dataset: SegmentableDataset, channel_sums: ChannelSums
) -> None:
    """
    Refuse a state that was saved for another map.

    A map is the same if the hashes of its files are, or else its counts per channel: so a state
    saved for a file also fits the store that the file was ingested into.

    Parameters
    ----------
    saved : mapping
        Result of :func:`identity_of` for the map that the state was saved for.
    dataset : SegmentableDataset
        The map that it is to be put on.
    channel_sums : callable
        As for :func:`identity_of`.

    Raises
    ------
    ShapeMismatchError
        If the maps have different numbers of rows and columns.
    StoreError
        If they are not the same map.
    """
    shape = [int(size) for size in dataset.shape[:2]]
    if saved["shape"] != shape:
        raise ShapeMismatchError(
            f"The state is of a map of {' x '.join(map(str, saved['shape']))} pixels, the dataset "
            f"has {' x '.join(map(str, shape))}. Bin the dataset as it was then."
        )
    metadata = _metadata(dataset)
    sources = [] if metadata is None else [source.to_attrs() for source in metadata.sources]
    if saved["with_spectra"] != (dataset.processed is not None):
        same = False
    elif dataset.processed is None:
        same = saved["features"] == list(dataset.feature_list) and saved["sources"] == sources
    elif _all_hashed(sources) and saved["sources"] == sources:
        same = metadata is not None and saved["selection"] == dict(metadata.selection)
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


def _metadata(dataset: SegmentableDataset) -> Any:
    """Metadata of the spectra, or of the images where a dataset keeps them as ``maps``."""
    if dataset.processed is not None:
        return dataset.processed.metadata
    return getattr(getattr(dataset, "maps", None), "metadata", None)


def _all_hashed(sources: list[dict[str, Any]]) -> bool:
    return bool(sources) and all("sha256" in source for source in sources)


def _same_sums(saved: list[float], current: NDArray[Any]) -> bool:
    if len(saved) != len(current):
        return False
    if current.dtype.kind in "iu":
        return bool(saved == current.tolist())
    return bool(np.allclose(saved, current, rtol=_ROUNDING, atol=0))
