"""What users hold: datasets, experiments and segmenters of the tutorial, and the main job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.workflow import norm
    from sigma_scale.workflow.datasets import SEMDataset, TEMDataset
    from sigma_scale.workflow.experiment import Experiment
    from sigma_scale.workflow.image_dataset import ImageDataset
    from sigma_scale.workflow.job import DemoResult, run_demo, run_job
    from sigma_scale.workflow.outputs import OutputFolder
    from sigma_scale.workflow.pipeline import PhaseMapping, map_phases
    from sigma_scale.workflow.project import Project
    from sigma_scale.workflow.segmenter import (
        BinaryMapProfile,
        ClusterState,
        Components,
        PixelSegmenter,
        PixelState,
        SegmentableDataset,
    )
    from sigma_scale.workflow.settings import RunSettings
    from sigma_scale.workflow.step_store import StepStore

__all__ = [
    "BinaryMapProfile",
    "ClusterState",
    "Components",
    "DemoResult",
    "Experiment",
    "ImageDataset",
    "OutputFolder",
    "PhaseMapping",
    "PixelSegmenter",
    "PixelState",
    "Project",
    "RunSettings",
    "SEMDataset",
    "SegmentableDataset",
    "StepStore",
    "TEMDataset",
    "map_phases",
    "norm",
    "run_demo",
    "run_job",
]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "BinaryMapProfile": "segmenter",
        "ClusterState": "segmenter",
        "Components": "segmenter",
        "DemoResult": "job",
        "Experiment": "experiment",
        "ImageDataset": "image_dataset",
        "OutputFolder": "outputs",
        "PhaseMapping": "pipeline",
        "PixelSegmenter": "segmenter",
        "PixelState": "segmenter",
        "Project": "project",
        "RunSettings": "settings",
        "SEMDataset": "datasets",
        "SegmentableDataset": "segmenter",
        "StepStore": "step_store",
        "TEMDataset": "datasets",
        "map_phases": "pipeline",
        "run_demo": "job",
        "run_job": "job",
    },
    submodules={"norm"},
)
