"""Shared by the tests of the command that makes mosaics: how tiles are called, and tables."""

from __future__ import annotations

import csv

from sigma_scale import store


def counts(path):
    """Counts of a store as a dense array."""
    return store.open_map(path).to_xarray().values


def rows_of(path):
    """Rows of a manifest."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path, rows):
    """Write a manifest as a spreadsheet would."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


BY_GRID = ["--pattern", "tile_{row}_{column}", "--grid-overlap", "0.25"]
