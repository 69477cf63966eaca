"""Settings of the stored results, processes that edit them, and what an edit can change."""

from __future__ import annotations

import subprocess
import sys

from sigma_scale.workflow import RunSettings

SETTINGS = RunSettings(
    latent={"n_landmarks": 400, "n_epochs": 20},
    bin=(2, 2),
    normalisation=("zscore",),
    clustering="GaussianMixture",
    clustering_args={"n_components": 6},
)

HEADER = """
import sys
import numpy as np
from sigma_scale.errors import ConflictError
from sigma_scale.workflow.project import Project
project = Project.open(sys.argv[1])
"""


def start(program, path, **options):
    """Start a process of its own that has the store open as ``project``."""
    command = [sys.executable, "-c", HEADER + program, str(path)]
    return subprocess.Popen(command, text=True, **options)  # noqa: S603 -- our own program


def state(project):
    """What an edit can change."""
    ps = project.segmenter
    return (
        ps.labels.tolist(), ps.probability.tolist(), ps.cluster_colors, ps.cluster_names,
        ps.edit_log, ps.can_redo, ps.n_components,
    )  # fmt: skip
