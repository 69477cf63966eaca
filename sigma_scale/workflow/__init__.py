"""What users hold: the settings and the main job, from a map to its phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.workflow.job import run_demo, run_job
    from sigma_scale.workflow.outputs import OutputFolder
    from sigma_scale.workflow.pipeline import PhaseMapping, map_phases
    from sigma_scale.workflow.settings import RunSettings

__all__ = ["OutputFolder", "PhaseMapping", "RunSettings", "map_phases", "run_demo", "run_job"]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "OutputFolder": "outputs",
        "PhaseMapping": "pipeline",
        "RunSettings": "settings",
        "map_phases": "pipeline",
        "run_demo": "job",
        "run_job": "job",
    },
)
