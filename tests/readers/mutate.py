"""
Damaged copies of a file, each read in a process of its own.

A reader may refuse a damaged file with one of our errors or give counts; it must not end the
process, hang, or take memory on the word of a header. ``SIGMA_SCALE_MUTATIONS`` sets how many
copies of each file are tried.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

MUTATIONS = int(os.environ.get("SIGMA_SCALE_MUTATIONS", "40"))
_SECONDS = 20
_MEMORY = 2 * 2**30
_WORST = struct.pack("<q", -1), struct.pack("<i", 2**31 - 1), struct.pack("<q", 10**12), bytes(8)


def mutated(content: bytes, seed: int) -> bytes:
    """One damaged copy: truncated, with bytes flipped, numbers made absurd, or a part moved."""
    rng = np.random.default_rng(seed)
    damaged = bytearray(content)
    kind = seed % 5
    # Headers are small and decide most: half of the damage goes to the file's beginning.
    reach = len(damaged) if rng.random() < 0.5 else min(len(damaged), 4096)
    if kind == 0:
        return bytes(damaged[: int(rng.integers(0, len(damaged)))])
    if kind == 1:
        for place in rng.integers(0, reach, int(rng.integers(1, 40))):
            damaged[place] = rng.integers(0, 256)
    elif kind == 2:
        place = int(rng.integers(0, reach))
        worst = _WORST[int(rng.integers(len(_WORST)))]
        damaged[place : place + len(worst)] = worst
        damaged = damaged[: len(content)]
    elif kind == 3:
        for place in rng.integers(0, reach, int(rng.integers(1, 4))):
            damaged[place] ^= 1 << int(rng.integers(8))
    else:
        start, end = sorted(int(n) for n in rng.integers(0, len(damaged), 2))
        del damaged[start : min(end, start + 4096)]
    return bytes(damaged)


def fault_of(read: Callable[[Path], None], path: Path, *, seconds: int = _SECONDS) -> str:
    """
    Read a file in a forked child; what went wrong, or an empty string.

    ``read`` must read everything and let only our own errors out.
    """
    from sigma_scale.errors import SigmaScaleError

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 0
        try:
            used = _address_space()
            resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))
            signal.alarm(seconds)
            read(path)
        except SigmaScaleError:
            pass
        except BaseException:  # noqa: BLE001 -- what it is is the result
            os.write(writing, traceback.format_exc()[-4000:].encode())
            code = 1
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return text or ("" if os.WEXITSTATUS(status) == 0 else "failed")


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def faults(
    read: Callable[[Path], None],
    original: Path,
    folder: Path,
    *,
    number: int = MUTATIONS,
    first: int = 0,
    prepare: Callable[[Path], None] | None = None,
) -> dict[int, str]:
    """Seeds of the damaged copies of a file that a reader handled badly, and how."""
    content = original.read_bytes()
    path = folder / original.name
    found = {}
    for seed in range(first, first + number):
        path.write_bytes(mutated(content, seed))
        if prepare is not None:
            prepare(path)
        fault = fault_of(read, path)
        if fault:
            found[seed] = fault
    return found


def read_everything(path: Path, **options: object) -> None:
    """Open a map and read all of its counts and images."""
    from sigma_scale.readers import read

    image = read(path, **options)
    rows, columns = image.n_blocks
    for i in range(min(rows, 8)):
        for j in range(min(columns, 8)):
            image.source.read_block(i, j)
    for picture in image.images.values():
        picture.load()
