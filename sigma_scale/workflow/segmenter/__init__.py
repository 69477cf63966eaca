"""PixelSegmenter: clusters of a map's pixels, their edits, spectra and saved states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.workflow.segmenter.clusters import ClusterState, PixelState
    from sigma_scale.workflow.segmenter.dataset import SegmentableDataset
    from sigma_scale.workflow.segmenter.methods import METHODS
    from sigma_scale.workflow.segmenter.mixture import Components
    from sigma_scale.workflow.segmenter.segmenter import PixelSegmenter
    from sigma_scale.workflow.segmenter.spectra import BinaryMapProfile

__all__ = [
    "METHODS",
    "BinaryMapProfile",
    "ClusterState",
    "Components",
    "PixelSegmenter",
    "PixelState",
    "SegmentableDataset",
]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "METHODS": ".methods",
        "BinaryMapProfile": ".spectra",
        "ClusterState": ".clusters",
        "Components": ".mixture",
        "PixelSegmenter": ".segmenter",
        "PixelState": ".clusters",
        "SegmentableDataset": ".dataset",
    },
)
