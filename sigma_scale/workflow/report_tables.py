"""Tables of the main job's report: elements, compositions and neighbours of the phases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sigma_scale import plot
from sigma_scale.plot import ReportTable
from sigma_scale.plot.line_labels import line_name
from sigma_scale.workflow.report_numbers import plain, same_places, with_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

__all__ = [
    "NOT_ASSIGNED",
    "composition_shown",
    "contact_table",
    "contacts_shown",
    "evidence_shown",
    "shortened",
    "weights_shown",
]

_NEIGHBOURS = 4
"""Neighbours of a phase that the report names."""
_LEAST_SHARE = 0.01
_MOST_ROWS = 50
NOT_ASSIGNED = "not assigned"
"""What pixels without a phase are called."""


def evidence_shown(evidence: pd.DataFrame) -> ReportTable:
    """
    Show which lines each phase has: a row per phase, a column per line.

    Parameters
    ----------
    evidence : pandas.DataFrame
        From :func:`sigma_scale.phases.element_evidence`.

    Returns
    -------
    ReportTable
    """
    cells = evidence.apply(_evidence_cell, axis="columns").unstack("line")  # noqa: PD010
    lines = list(evidence.index.unique("line"))
    decisions = evidence["decision"].unstack("line")[lines]  # noqa: PD010
    caption = (
        "Net counts of each line and, below, how many standard errors they are (σ). Counts are "
        "peak areas with overlaps resolved, where they can be fitted. Faint: a trace of less than "
        "1 % of the phase's counts, or with “?” one that other peaks explain nearly as well; "
        "“overlap”: counts of other elements' peaks; “<”: not detected, with the counts that would "
        "be. tables/elements.csv has all of it."
    )
    shown = cells[lines].rename(columns=line_name)
    return _by_phase(shown, caption, (decisions != "present").to_numpy())


def _evidence_cell(row: pd.Series[Any]) -> str:
    if row["decision"] == "overlapped":
        return "overlap"
    if row["decision"] == "not detected":
        return "–" if np.isnan(row["detection_limit"]) else f"< {row['detection_limit']:,.0f}"
    fitted = np.isfinite(row["fitted"]) and row["fitted_error"] > 0
    net, error = ("fitted", "fitted_error") if fitted else ("net", "error")
    significance = row[net] / row[error] if row[error] > 0 else 0.0
    doubt = " ?" if row["decision"] == "uncertain" else ""
    return f"{row[net]:,.0f}{doubt}\n{plain(significance, 3)} σ"


def composition_shown(composition: pd.DataFrame) -> ReportTable:
    """
    Show the composition of each phase: a row per phase, a column per element.

    Parameters
    ----------
    composition : pandas.DataFrame
        From :func:`sigma_scale.workflow.composition.composition_table`.

    Returns
    -------
    ReportTable
    """
    cells = composition.apply(_composition_cell, axis="columns").unstack("element")  # noqa: PD010
    elements = list(composition.index.unique("element"))
    detected = composition["detected"].unstack("element")[elements]  # noqa: PD010
    caption = (
        "Percent by weight with the standard error of counting and, below, percent of the atoms. "
        "“<”: not detected, with the detection limit. tables/composition.csv has all of it."
    )
    return _by_phase(cells[elements], caption, ~detected.to_numpy(bool))


def _composition_cell(row: pd.Series[Any]) -> str:
    weight, limit = row["weight_percent"], row["weight_percent_limit"]
    if np.isnan(weight):
        return "–"
    if not row["detected"]:
        return f"< {plain(limit, 2, trim=True)}" if np.isfinite(limit) else "–"
    places = _places(row["weight_percent_error"])
    error = row["weight_percent_error"]
    return f"{weight:.{places}f} ± {error:.{places}f}\n{row['atomic_percent']:.{places}f} at%"


def _places(error: float) -> int:
    """Decimals that show an error with one digit, two at most."""
    if not np.isfinite(error) or error <= 0:
        return 1
    return int(np.clip(np.ceil(-np.log10(error)), 0, 2))


def contact_table(contacts: xr.Dataset) -> pd.DataFrame:
    """
    Borders of the phases that touch, one row per phase and neighbour.

    Parameters
    ----------
    contacts : xarray.Dataset
        From :func:`sigma_scale.phases.phase_contacts`.

    Returns
    -------
    pandas.DataFrame
        ``edges`` of pixels; ``length_um`` (``_px`` where the map has no scale); ``share`` of the
        phase's borders and ``share_error``.
    """
    unit = "um" if contacts["length"].attrs["units"] == "µm" else "px"
    names = ["edges", "length", "share", "share_error"]
    table = contacts[names].to_dataframe()[names].rename(columns={"length": f"length_{unit}"})
    return table[table["edges"] > 0]


def contacts_shown(contacts: xr.Dataset) -> ReportTable:
    """
    Show which phases touch which: a row per phase.

    Parameters
    ----------
    contacts : xarray.Dataset
        From :func:`sigma_scale.phases.phase_contacts`.

    Returns
    -------
    ReportTable
    """
    unit = contacts["length"].attrs["units"]
    unit = "pixels" if unit == "pixel" else unit
    table = contact_table(contacts)
    phases = contacts["phase"].to_numpy().tolist()
    length = contacts["length"].sum("neighbour").to_numpy()
    rows = [_neighbours(table, phase) for phase in phases]
    frame = pd.DataFrame(
        {f"Border, {unit}": [plain(value, 4, trim=True) for value in length], "Neighbours": rows},
        index=phases,
    )
    caption = (
        "Length of the borders with other phases, along the edges of pixels, and the neighbours "
        "with most of it, in percent of it with the counting error. tables/contacts.csv has all."
    )
    return _by_phase(frame, caption, numeric=[f"Border, {unit}"])


def _neighbours(table: pd.DataFrame, phase: int) -> str:
    if phase not in table.index.unique("phase"):
        return "none"
    own = table[table.index.get_level_values("phase") == phase].droplevel("phase")
    own = own.sort_values("share", ascending=False, kind="stable")
    shown = own[own["share"] >= _LEAST_SHARE].head(_NEIGHBOURS)
    texts = [
        f"{neighbour}: {_percent(row['share'], row['share_error'])}"
        for neighbour, row in shown.iterrows()
    ]
    rest = len(own) - len(shown)
    return ",  ".join(texts) + (f",  and {rest} more" if rest else "")


def shortened(table: ReportTable) -> ReportTable:
    """
    Leave out phases where a table has more than can be read: those after the first 50.

    Parameters
    ----------
    table : ReportTable
        A row per phase, the first column their names; the largest phase comes first.

    Returns
    -------
    ReportTable
        With a row for the pixels without a phase if it has one. Its caption says what is left
        out.
    """
    assigned = (table.frame["Phase"] != NOT_ASSIGNED).to_numpy()
    if assigned.sum() <= _MOST_ROWS:
        return table
    kept = np.flatnonzero((np.cumsum(assigned) <= _MOST_ROWS) | ~assigned).tolist()
    return replace(
        table,
        frame=table.frame.iloc[kept],
        caption=f"The first {_MOST_ROWS} of {assigned.sum():,} phases. {table.caption}",
        chips=[table.chips[row] for row in kept] if table.chips else (),
        faint=[table.faint[row] for row in kept] if table.faint else (),
    )


def _percent(share: float, error: float) -> str:
    """Write a share in percent, with decimals as far as its error has them."""
    if not error > 0:
        return f"{100 * share:.0f} %"
    return " ± ".join(with_error(100 * share, 100 * error)) + " %"


def weights_shown(weights: pd.DataFrame) -> ReportTable:
    """
    Show how much of each end-member is in each phase: a row per phase.

    Parameters
    ----------
    weights : pandas.DataFrame, shape (phase, end-member)
        From :func:`sigma_scale.phases.unmix`; rows are called ``cluster_0`` and so on.

    Returns
    -------
    ReportTable
    """
    phases = [int(str(name).rpartition("_")[2]) for name in weights.index]
    names = [f"End-member {number}" for number in range(weights.shape[1])]
    cells = same_places(weights.set_axis(phases).set_axis(names, axis="columns"), 3)
    faint = weights.to_numpy() < _LEAST_SHARE * weights.to_numpy().max(initial=0.0)
    caption = (
        "Weights of the end-members; faint where they are less than 1 % of the largest. "
        "tables/end_member_weights.csv has all digits."
    )
    return _by_phase(cells, caption, faint)


def _by_phase(
    cells: pd.DataFrame,
    caption: str,
    faint: np.ndarray | None = None,
    *,
    numeric: Sequence[str] | None = None,
) -> ReportTable:
    """Table with the phases and their colours in its first column."""
    phases = [int(phase) for phase in cells.index]
    colours = plot.phase_colours(phases)
    names = [str(name) for name in cells.columns]
    frame = cells.set_axis(names, axis="columns").reset_index(drop=True)
    frame.insert(0, "Phase", [str(phase) for phase in phases])
    pale = [] if faint is None else np.pad(faint, ((0, 0), (1, 0))).tolist()
    return ReportTable(
        frame,
        caption,
        [colours[phase] for phase in phases],
        numeric=names if numeric is None else numeric,
        faint=pale,
    )
