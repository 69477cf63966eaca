"""
The figures of the front page, taken from what the benchmarks wrote: none is typed by hand.

    python -m benchmarks --page benchmarks/results --readme README.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.page import markdown_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.record import Result, Row

BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
STAGES = {
    "feature_pass": (),
}
"""Stages that the front page names, by benchmark."""


class FrontPageError(ValueError):
    """The front page or the results lack what the other needs."""


def figures(results: Mapping[str, list[Result]]) -> str:
    """Lay out the front page's rows, with the machine they were measured on."""
    rows = [find(results, name, stage) for name, stages in STAGES.items() for stage in stages]
    measured = {
        f"{result.machine['cores']} cores of an {result.machine['processor']}"
        for name in STAGES
        for result in results[name]
    }
    return f"Measured on {'; '.join(sorted(measured))}:\n\n{markdown_table(rows)}"


def find(results: Mapping[str, list[Result]], name: str, stage: str) -> Row:
    """Find a stage's row among a benchmark's results: that of the largest size, if several."""
    found = [r for result in results.get(name, []) for r in result.rows if r.stage == stage]
    if not found:
        raise FrontPageError(f"The results of {name} have no row called {stage!r}.")
    return max(found, key=lambda row: row.size)


def with_figures(page: str, results: Mapping[str, list[Result]]) -> str:
    """Put the figures where the page's two marks are."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise FrontPageError(f"The page lacks the lines {BEGIN.strip()} and {END.strip()}.")
    return f"{before}{begin}{figures(results)}{end}{after}"


def update(page: Path, results: Mapping[str, list[Result]]) -> None:
    """Write the figures into the page."""
    text = with_figures(page.read_text(encoding="utf-8"), results)
    page.write_text(text, encoding="utf-8")
