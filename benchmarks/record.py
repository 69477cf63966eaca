"""What a benchmark found: rows of a table, further figures, and where they were measured."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.machine import machine

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HEADINGS = ("", "size", "time", "rate", "against", "of its limit", "memory", "agreement")


@dataclass(frozen=True, kw_only=True)
class Row:
    """
    A stage on data of one size, beside a peer and a limit that were measured in the same run.

    Parameters
    ----------
    stage : str
        What was timed.
    size : float
        How many of ``unit``.
    seconds : float
        Wall-clock time.
    unit : str, default: "pixels"
        What is counted.
    peer : str, default: ""
        What did the same; with its version where it is another library.
    times_peer : float, optional
        The peer's time over ours: 2 is twice as fast.
    limit : str, default: ""
        What can't be exceeded, such as ``"read and decompress"``.
    of_limit : float, optional
        Time at the limit over ours: 1 is as fast as can be.
    peak_memory : int, optional
        Peak of the process that ran it, in bytes, imports included.
    agreement : str, default: ""
        How the result compares with the peer's or with the truth.
    """

    stage: str
    size: float
    seconds: float
    unit: str = "pixels"
    peer: str = ""
    times_peer: float | None = None
    limit: str = ""
    of_limit: float | None = None
    peak_memory: int | None = None
    agreement: str = ""

    @property
    def rate(self) -> float:
        """Size per second."""
        return self.size / self.seconds

    def cells(self) -> tuple[str, ...]:
        """Texts for the columns of :data:`HEADINGS`."""
        against = "" if self.times_peer is None else f"{self.times_peer:.3g} x {self.peer}"
        limit = "" if self.of_limit is None else f"{self.of_limit:.2g} of {self.limit}"
        memory = "" if self.peak_memory is None else in_bytes(self.peak_memory)
        return (
            self.stage,
            f"{scaled(self.size)} {self.unit}",
            in_seconds(self.seconds),
            f"{scaled(self.rate)}/s",
            against,
            limit,
            memory,
            self.agreement,
        )


@dataclass
class Result:
    """
    A benchmark's table, further figures, and where they were measured.

    Parameters
    ----------
    name : str
        Name of the benchmark, or of this part of it.
    parameters : dict
        What was measured on.
    figures : dict, optional
        Further figures by their names, units in the names.
    rows : list of Row, optional
        The table.
    machine : dict, optional
        Processor, versions and commit; of this process by default.
    """

    name: str
    parameters: dict[str, Any]
    figures: dict[str, float] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=machine)

    def print(self) -> None:
        """Print the table, the further figures and the machine."""
        print(f"\n{self.name}: {', '.join(f'{k} {v}' for k, v in self.parameters.items())}")
        if self.rows:
            print(text_table(self.rows))
        width = max((len(name) for name in self.figures), default=0)
        for name, value in self.figures.items():
            print(f"  {name:<{width}}  {value:>12,.3f}")
        print(
            f"  {self.machine['processor']}, {self.machine['cores']} cores, Python "
            f"{self.machine['python']}, commit {self.machine['commit']}"
        )
        print("  " + ", ".join(f"{k} {v}" for k, v in self.machine["versions"].items()))


def write_results(results: Iterable[Result], path: Path) -> None:
    """Write the results of a benchmark as one JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")


def publish(results: Iterable[Result], out: Path | None) -> list[Result]:
    """Print results one by one, and write all so far after each: those that follow take minutes."""
    done: list[Result] = []
    for result in results:
        result.print()
        done.append(result)
        if out:
            write_results(done, out)
    return done


def read_results(path: Path) -> list[Result]:
    """Read what :func:`write_results` wrote."""
    return [
        Result(**{**kept, "rows": [Row(**row) for row in kept["rows"]]})
        for kept in json.loads(path.read_text())
    ]


def text_table(rows: Iterable[Row]) -> str:
    """Lay rows out as aligned text; columns without any entry are left out."""
    table = [HEADINGS, *(row.cells() for row in rows)]
    columns = [column for column in zip(*table, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return "\n".join(
        "  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def scaled(value: float) -> str:
    """Three digits, with k, M or G for thousands, millions and thousand millions."""
    for factor, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.3g}"


def in_seconds(value: float) -> str:
    """A duration in s, ms or µs."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}" if value < 1000 * factor else f"{value:,.0f} s"
    return f"{value * 1e6:.3g} µs"


def in_bytes(value: float) -> str:
    """A number of bytes in GB or MB."""
    giga, mega = value / 1e9, value / 1e6
    return f"{giga:.3g} GB" if giga >= 1 else f"{mega:.3g} MB"
