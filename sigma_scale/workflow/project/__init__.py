"""Project: one stored map, with what was derived from it and the edits of its clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.workflow.project.project import Project

__all__ = ["Project"]

__getattr__, __dir__, _ = lazy_exports(__name__, {"Project": ".project"})
