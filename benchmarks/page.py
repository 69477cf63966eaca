"""A page of results with plots, from what the benchmarks wrote."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.record import HEADINGS, scaled
from benchmarks.suite import BENCHMARKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.record import Result, Row

PAGE = "README.md"
BAR = 0.28
"""Height of a bar in inches."""
COLOURS = ("#3b6ea5", "#c1666b")
"""Of what is faster, and of what is slower."""
LEAST_SHARE = 0.01
"""Of a limit: below it something else is what takes the time."""
_VERSION = re.compile(r"\d\.\d")
STYLE: dict[Any, object] = {
    "svg.hashsalt": "sigma_scale",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
}
_INTRODUCTION = """# What the benchmarks measured

Made by `python -m benchmarks`, which prints the same tables; {modules} can be run alone as
`python -m benchmarks.NAME`. The figures are for {machine}. *Against* says how many times as fast
as a peer this project was on the same data in the same run: other libraries run in environments
of their own, with the versions in `benchmarks/peers`. *Of its limit* is the share of the speed
that the machine allows on the same data: reading and decompressing chunks, decoding a file, or
reading memory once; where that is less than a hundredth, computing is what takes the time, and
the plot leaves it out. Memory is the peak of the process, with everything it imports.
"""


def write_page(results: dict[str, list[Result]], folder: Path) -> Path:
    """
    Write the page and its plots to the folder of the results.

    Parameters
    ----------
    results : dict of list of Result
        By name of the benchmark.
    folder : pathlib.Path
        Where ``README.md`` and ``plots/*.svg`` go.

    Returns
    -------
    pathlib.Path
        The page.
    """
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    parts = [_introduction(results)]
    for title, name, alt, draw in PLOTS:
        if draw(results, plots / f"{name}.svg"):
            parts.append(f"## {title}\n\n![{alt}](plots/{name}.svg)\n")
    parts += [_section(name, found) for name, found in results.items()]
    page = folder / PAGE
    page.write_text("\n".join(parts), encoding="utf-8")
    return page


def _introduction(results: dict[str, list[Result]]) -> str:
    commits: dict[str, dict[str, set[str]]] = {}
    for name, found in results.items():
        for machine in (result.machine for result in found):
            where = (
                f"{machine['processor']}, {machine['cores']} cores, {machine['memory, GB']} GB, "
                f"Python {machine['python']}"
            )
            commits.setdefault(where, {}).setdefault(machine["commit"], set()).add(name)
    machines = [f"{where} ({_of_commits(known)})" for where, known in sorted(commits.items())]
    modules = ", ".join(f"`{name}`" for name in results)
    return _INTRODUCTION.format(modules=modules, machine="; ".join(machines))


def _of_commits(names: dict[str, set[str]]) -> str:
    """Say of which commit the benchmarks were, where there are several which of them."""
    if len(names) == 1:
        return f"commit {next(iter(names))}"
    return "; ".join(f"commit {commit}: {', '.join(sorted(of))}" for commit, of in names.items())


def _section(name: str, results: Iterable[Result]) -> str:
    parts = [f"## {name}: {BENCHMARKS[name]}\n"]
    for result in results:
        parts.append(f"**{result.name}.** {_parameters(result)}\n")
        if result.rows:
            parts.append(markdown_table(result.rows))
        if result.figures:
            parts.append(_details(result.figures))
    return "\n".join(parts)


def _parameters(result: Result) -> str:
    said = [f"{name}: {_text(value)}" for name, value in result.parameters.items()]
    return "; ".join([*said, f"load before: {result.machine['load before']}"])


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def markdown_table(rows: Iterable[Row]) -> str:
    """Lay rows out as a table in Markdown; columns without any entry are left out."""
    table = [HEADINGS, *(row.cells() for row in rows)]
    columns = [column for column in zip(*table, strict=True) if any(column[1:])]
    heading, *lines = zip(*columns, strict=True)
    marks = ["---"] * len(heading)
    return "\n".join(f"| {' | '.join(line)} |" for line in (heading, marks, *lines)) + "\n"


def _details(figures: dict[str, float]) -> str:
    lines = [f"| {name} | {value:,.4g} |" for name, value in figures.items()]
    table = "\n".join(["| | |", "| --- | ---: |", *lines])
    return f"<details><summary>Further figures</summary>\n\n{table}\n\n</details>\n"


def _rows(results: dict[str, list[Result]]) -> list[Row]:
    """All rows, with stages that are understood alone and tell the size."""
    rows = []
    for found in results.values():
        for result in found:
            part = result.name.rpartition(": ")[2]
            for row in result.rows:
                stage = row.stage if part in row.stage else f"{part}: {row.stage}"
                rows.append(replace(row, stage=f"{stage}, {scaled(row.size)} {row.unit}"))
    return rows


def draw_peers(results: dict[str, list[Result]], path: Path) -> bool:
    """Draw how many times as fast as another library each stage is; these have a version."""
    rows = [row for row in _rows(results) if row.times_peer and _VERSION.search(row.peer)]

    def draw(axes: Axes) -> None:
        times = np.array([row.times_peer or 1.0 for row in rows])
        colours = [COLOURS[int(value < 1)] for value in times]
        axes.set_xscale("log")
        # Bars begin where both are as fast.
        bars = axes.barh(range(len(rows)), times - 1, left=1, color=colours, height=0.7)
        axes.axvline(1, color="black", linewidth=0.8)
        for bar, row, value in zip(bars, rows, times, strict=True):
            end = max(1.0, value)
            axes.annotate(
                f"{value:.3g} x {row.peer}", (end, bar.get_y() + bar.get_height() / 2),
                xytext=(4, 0), textcoords="offset points", va="center", fontsize=8,
            )  # fmt: skip
        _finish(axes, rows, "times as fast as the other library")
        axes.set_xlim(min(1, times.min()) / 1.5, times.max() * 50)

    return _figure(draw, len(rows), path)


def draw_limits(results: dict[str, list[Result]], path: Path) -> bool:
    """Draw the share of its limit that each stage reaches, where that can be seen."""
    rows = [row for row in _rows(results) if (row.of_limit or 0) >= LEAST_SHARE]

    def draw(axes: Axes) -> None:
        shares = [row.of_limit or 0.0 for row in rows]
        bars = axes.barh(range(len(rows)), shares, color=COLOURS[0], height=0.7)
        labels = [f"{s:.2g} of {row.limit}" for s, row in zip(shares, rows, strict=True)]
        axes.bar_label(bars, labels=labels, padding=4, fontsize=8)
        axes.axvline(1, color="black", linewidth=0.8)
        _finish(axes, rows, "share of the limit")
        axes.set_xlim(0, 1.9 * max(1.0, *shares))

    return _figure(draw, len(rows), path)


def draw_memory(results: dict[str, list[Result]], path: Path) -> bool:
    """Draw the peak memory of each stage, where it was measured."""
    rows = [row for row in _rows(results) if row.peak_memory]

    def draw(axes: Axes) -> None:
        peaks = [(row.peak_memory or 0) / 1e9 for row in rows]
        bars = axes.barh(range(len(rows)), peaks, color=COLOURS[0], height=0.7)
        axes.bar_label(bars, labels=[f"{peak:.2g}" for peak in peaks], padding=4, fontsize=8)
        _finish(axes, rows, "peak memory, GB")

    return _figure(draw, len(rows), path)


PLOTS = (
    ("Against peers", "peers", "Times as fast as its peer, stage by stage.", draw_peers),
    ("Of the limit", "limits", "Share of its limit, stage by stage.", draw_limits),
    ("Memory", "memory", "Peak memory, stage by stage.", draw_memory),
)


def _finish(axes: Axes, rows: Sequence[Row], what: str) -> None:
    """Name the bars, the first on top."""
    axes.set_yticks(range(len(rows)), [row.stage for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlabel(what)


def _figure(draw: Callable[[Axes], None], n_bars: int, path: Path) -> bool:
    path.unlink(missing_ok=True)
    if not n_bars:
        return False
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 1.0 + BAR * n_bars), layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(path, metadata={"Date": None})
    return True
