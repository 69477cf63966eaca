"""
The figures of the front page, taken from what the benchmarks wrote: none is typed by hand.

    python -m benchmarks --page benchmarks/results --readme README.md
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.page import LEAST_SHARE, markdown_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.record import Result, Row

BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


class Entry(NamedTuple):
    """A row of the front page: what it is called there, and where it comes from."""

    label: str
    benchmark: str
    part: str
    """How the names of the results begin that have the row."""
    stage: str
    place: int = 0
    """Of rows with this stage, as for several sizes: which one."""


FEATURES, SPECTRA = "feature pass, 2 threads", "with totals, 2 threads"
TUTORIAL, LATENT, DENSITY = "the tutorial's cells", "latent space", "density clustering, groups"

ENTRIES = (
    Entry("all counts to line maps, 2 threads", "feature_pass", "feature pass", FEATURES),
    Entry("the same", "feature_pass", "feature pass and Dask", FEATURES),
    Entry("the same", "feature_pass", "feature pass and HyperSpy", FEATURES),
    Entry("ingest of `.bcf`, 2 threads", "ingest", "ingest: .bcf", "ingest .bcf, 2 threads"),
    Entry("ingest of `.emd`", "ingest", "ingest: .emd", "ingest .emd, 2 threads"),
    Entry("ingest of `.h5oina`", "ingest", "ingest: .h5oina", "ingest .h5oina, 2 threads"),
    Entry("the tutorial, load to z-score", "tutorial", TUTORIAL, "load to z-score"),
    Entry("its UMAP", "tutorial", TUTORIAL, "UMAP"),
    Entry("its mixture of 50 Gaussians", "tutorial", TUTORIAL, "mixture of 50"),
    Entry("UMAP, fit and placement", "latent", LATENT, "fit and placement"),
    Entry("UMAP, fit and placement", "latent", LATENT, "fit and placement", -1),
    Entry("HDBSCAN", "clustering", DENSITY, "HDBSCAN", 1),
    Entry("HDBSCAN", "clustering", DENSITY, "HDBSCAN", -1),
    Entry("mixture of 50 Gaussians, a step", "mixture", "mixture", "EM step, 50 Gaussians"),
    Entry("spectra of phases, with errors", "phases", "phases: spectra", SPECTRA),
    Entry("abundance of 8 end-members", "phases", "phases: abundance", "least squares, 1 thread"),
    Entry("statistics of regions", "phases", "phases: regions", "statistics of regions"),
    Entry("frame after a zoom", "gui", "gui: frames", "frame after a zoom"),
    Entry("lasso, relabel, frame", "gui", "gui: frames", "lasso to frame"),
    Entry("100 tiles to phases and report", "scaling", "scaling: ", "all"),
    Entry("100 tiles to phases and report", "scaling", "scaling: ", "all", -1),
    Entry("feature pass, two workers", "scaling", "scaling: workers", "feature pass, two workers"),
)


class FrontPageError(ValueError):
    """The front page or the results lack what the other needs."""


def figures(results: Mapping[str, list[Result]]) -> str:
    """Lay out the front page's rows, with the machine they were measured on."""
    rows = [find(results, entry) for entry in ENTRIES]
    names = {entry.benchmark for entry in ENTRIES}
    measured = {
        f"{result.machine['cores']} cores ({result.machine['processor']})"
        for name in names
        for result in results[name]
    }
    return f"Measured on {'; '.join(sorted(measured))}:\n\n{markdown_table(rows)}"


def find(results: Mapping[str, list[Result]], entry: Entry) -> Row:
    """
    Find an entry's row among the results, and call it as the front page does.

    Where computing is what takes the time, a limit of memory says nothing and is left out.
    """
    found = [
        row
        for result in results.get(entry.benchmark, [])
        if result.name.startswith(entry.part)
        for row in result.rows
        if row.stage == entry.stage
    ]
    if not found:
        raise FrontPageError(
            f"The results of {entry.benchmark} have no row called {entry.stage!r} in a part "
            f"called {entry.part!r}."
        )
    row = replace(found[entry.place], stage=entry.label)
    if row.of_limit is not None and row.of_limit < LEAST_SHARE:
        return replace(row, limit="", of_limit=None)
    return row


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
