"""Velox's streams against plain Python."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sigma_scale.readers.velox.kernels import SEPARATOR, collect_events, find_starts
from sigma_scale.spectra import EventBlock

N_CHANNELS = 300

pixels = st.lists(st.integers(0, N_CHANNELS - 1), max_size=8)
streams = st.lists(pixels, min_size=1, max_size=12)


def words_of(parts: list[list[list[int]]], *, last: bool) -> tuple[np.ndarray, np.ndarray]:
    """Words of parts of streams, each a list of pixels, and where each part starts."""
    segments, words = [0], []
    for part in parts:
        for pixel in part:
            words += [*pixel, SEPARATOR]
        if not last:
            words.pop()
        segments.append(len(words))
    return np.array(words, dtype=np.uint16), np.array(segments)


@given(
    parts=st.lists(streams, min_size=1, max_size=4),
    missing=st.integers(0, 3),
    last=st.booleans(),
)
def test_events_are_the_counts_of_each_pixel(
    parts: list[list[list[int]]], missing: int, *, last: bool
) -> None:
    n_pixels = max(map(len, parts)) + missing
    expected = [Counter[int]() for _ in range(n_pixels)]
    for part in parts:
        for counter, pixel in zip(expected, part, strict=False):
            counter.update(pixel)
    words, segments = words_of(parts, last=last)
    room = words.size
    per_pixel = np.empty(n_pixels, np.uint32)
    low, high, counts = (np.empty(room, np.uint8) for _ in range(3))
    found = collect_events(words, segments, N_CHANNELS, 255, per_pixel, low, high, counts)
    shape = (1, n_pixels, N_CHANNELS)
    matrix = EventBlock(shape, per_pixel, low[:found], high[:found], counts[:found]).to_csr()
    for pixel, counter in enumerate(expected):
        row = matrix[[pixel]]
        assert dict(zip(row.indices.tolist(), row.data.tolist(), strict=True)) == counter


def test_events_of_every_channel_come_in_order() -> None:
    n_channels = 65_535
    rng = np.random.default_rng(0)
    channels = rng.permutation(n_channels).astype(np.uint16)
    words = np.concatenate([channels, channels[:100]])
    per_pixel = np.empty(1, np.uint32)
    low, high, counts = (np.empty(words.size, np.uint8) for _ in range(3))
    segments = np.array([0, words.size])
    found = collect_events(words, segments, n_channels, 255, per_pixel, low, high, counts)
    assert found == n_channels
    block = EventBlock((1, 1, n_channels), per_pixel, low[:found], high[:found], counts[:found])
    expected = np.bincount(words, minlength=n_channels)
    np.testing.assert_array_equal(block.to_dense()[0, 0], expected)


def test_counts_that_do_not_fit_and_wrong_channels_are_told() -> None:
    words = np.array([5] * 300 + [SEPARATOR, 7], dtype=np.uint16)
    per_pixel = np.empty(2, np.uint32)
    low, high, counts = (np.empty(words.size, np.uint8) for _ in range(3))
    segments = np.array([0, words.size])
    assert collect_events(words, segments, 10, 255, per_pixel, low, high, counts) == -1
    assert collect_events(words, segments, 10, 2**16, per_pixel, low, high, counts) == 2
    assert collect_events(words, segments, 7, 255, per_pixel, low, high, counts) in {-1, -9}
    assert (
        collect_events(words[300:], segments - [0, 300], 7, 255, per_pixel, low, high, counts) == -9
    )


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), st.data())
def test_starts_of_bands(
    rows: int, columns: int, height: int, frames: int, data: st.DataObject
) -> None:
    n_bands = -(-rows // height)
    n_pixels = rows * columns
    lengths = data.draw(
        st.lists(st.integers(0, 3), min_size=frames * n_pixels, max_size=frames * n_pixels)
    )
    words = np.array([w for n in lengths for w in [*[1] * n, SEPARATOR]], dtype=np.uint16)
    ends = np.flatnonzero(words == SEPARATOR) + 1
    expected = [0]
    for frame in range(frames):
        for band in range(n_bands):
            last_pixel = frame * n_pixels + min((band + 1) * height, rows) * columns - 1
            expected.append(int(ends[last_pixel]))
    starts = np.full(frames * n_bands + 1, words.size)
    starts[0] = 0
    band_pixels, last = height * columns, (rows - (n_bands - 1) * height) * columns
    state = np.array([last if n_bands == 1 else band_pixels, 1, 0])
    cut = data.draw(st.integers(0, words.size))
    for base, piece in ((0, words[:cut]), (cut, words[cut:])):
        find_starts(piece, base, band_pixels, last, n_bands, state, starts)
    assert starts.tolist() == expected
    assert state[2] == len(ends)
