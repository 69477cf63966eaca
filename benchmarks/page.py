"""A page of results with plots, from what the benchmarks wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.record import HEADINGS
from benchmarks.suite import BENCHMARKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.record import Result, Row

PAGE = "README.md"
BAR = 0.28
"""Height of a bar in inches."""
COLOURS = ("#3b6ea5", "#8fb3d9")
STYLE = {
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
reading memory once. Memory is the peak of the process, with everything it imports.
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
    machines = sorted(
        {
            f"{r.machine['processor']}, {r.machine['cores']} cores, "
            f"{r.machine['memory, GB']} GB, Python {r.machine['python']}, "
            f"commit {r.machine['commit']}"
            for found in results.values()
            for r in found
        }
    )
    modules = ", ".join(f"`{name}`" for name in results)
    return _INTRODUCTION.format(modules=modules, machine="; ".join(machines))


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
    return [row for found in results.values() for result in found for row in result.rows]


def draw_peers(results: dict[str, list[Result]], path: Path) -> bool:
    """Draw how many times as fast as its peer each stage is, if any has one."""
    rows = [row for row in _rows(results) if row.times_peer]

    def draw(axes: Axes) -> None:
        _bars(axes, rows, [row.times_peer or 1.0 for row in rows], lambda row: row.peer)
        axes.set_xscale("log")
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xlabel("times as fast as its peer")

    return _figure(draw, len(rows), path)


def draw_limits(results: dict[str, list[Result]], path: Path) -> bool:
    """Draw the share of its limit that each stage reaches, if any has one."""
    rows = [row for row in _rows(results) if row.of_limit]

    def draw(axes: Axes) -> None:
        _bars(axes, rows, [row.of_limit or 0.0 for row in rows], lambda row: row.limit)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xlabel("share of the limit")

    return _figure(draw, len(rows), path)


def draw_memory(results: dict[str, list[Result]], path: Path) -> bool:
    """Draw the peak memory of each stage, where it was measured."""
    rows = [row for row in _rows(results) if row.peak_memory]

    def draw(axes: Axes) -> None:
        peaks = [(row.peak_memory or 0) / 1e9 for row in rows]
        _bars(axes, rows, peaks, lambda row: row.cells()[1])
        axes.set_xlabel("peak memory of the process, GB")

    return _figure(draw, len(rows), path)


PLOTS = (
    ("Against peers", "peers", "Times as fast as its peer, stage by stage.", draw_peers),
    ("Of the limit", "limits", "Share of its limit, stage by stage.", draw_limits),
    ("Memory", "memory", "Peak memory, stage by stage.", draw_memory),
)


def _bars(
    axes: Axes, rows: Sequence[Row], values: Sequence[float], against: Callable[[Row], str]
) -> None:
    """Draw a horizontal bar for each row, the first on top, with its value and its standard."""
    places = range(len(rows))
    bars = axes.barh(places, values, color=COLOURS[0], height=0.7)
    labels = [f"{value:.3g}  {against(row)}" for row, value in zip(rows, values, strict=True)]
    axes.bar_label(bars, labels=labels, padding=4, fontsize=8)
    axes.set_yticks(places, [row.stage for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.35, y=0.01)


def _figure(draw: Callable[[Axes], None], n_bars: int, path: Path) -> bool:
    path.unlink(missing_ok=True)
    if not n_bars:
        return False
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 1.0 + BAR * n_bars), layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(path, metadata={"Date": None})
    return True
