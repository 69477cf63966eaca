"""Tables that a run left beside its store, as far as they are of the present clusters."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sigma_scale.errors import SigmaScaleError
from sigma_scale.phases.abundance import check_pair

if TYPE_CHECKING:
    import pandas as pd

    from sigma_scale.workflow.project import Project

__all__ = ["RunTables", "read_tables"]

_FOLDER = "tables"
_RUN_STORE = "map.zarr"


@dataclass(frozen=True)
class RunTables:
    """
    What a run found out about the clusters.

    Parameters
    ----------
    elements : dict of int to str
        Elements of clusters, the strongest first, such as ``"O Si Al K"``.
    unmixing : tuple of pandas.DataFrame, optional
        Weights and components, as :meth:`Project.unmix` gives them.
    """

    elements: dict[int, str] = field(default_factory=dict)
    unmixing: tuple[pd.DataFrame, pd.DataFrame] | None = None


def read_tables(project: Project) -> RunTables:
    """
    Read the tables of a run.

    Parameters
    ----------
    project : Project
        Of a store, which may lie in a folder of results.

    Returns
    -------
    RunTables
        Elements of those clusters that have as many pixels as they had in the run, and the
        end-members if that is true of all; empty where there are no tables or they can't be read.
    """
    import pandas as pd

    segmenter, path = project.segmenter, project.path
    if segmenter is None or not isinstance(path, Path) or path.name != _RUN_STORE:
        return RunTables()
    folder, sizes = path.parent / _FOLDER, segmenter.cluster_sizes.tolist()
    elements: dict[int, str] = {}
    # Anyone may have edited or removed them: then the page shows what it would without them.
    with suppress(OSError, ValueError, KeyError, TypeError, SigmaScaleError):
        listed = pd.read_csv(folder / "phases.csv")
        rows = zip(
            listed["phase"].tolist(), listed["pixels"].tolist(), listed["elements"].fillna(""),
            strict=True,
        )  # fmt: skip
        found = {int(k): (int(n), str(said)) for k, n, said in rows if k >= 0}
        same = [k for k, (n, _) in found.items() if k < len(sizes) and sizes[k] == n]
        elements = {k: found[k][1] for k in same if found[k][1]}
        if len(same) < max(len(found), sum(n > 0 for n in sizes)):
            return RunTables(elements)
        weights = pd.read_csv(folder / "end_member_weights.csv", index_col="cluster")
        components = pd.read_csv(folder / "end_members.csv", index_col="energy_kev")
        check_pair(weights, components)
        return RunTables(elements, (weights, components))
    return RunTables(elements)
