"""The compiled decoder of Bruker maps against one in plain Python, on any stream."""

import struct

import numpy as np
from bruker_files import FIRST_LINE, pack_pixel, pack_runs, stream_head, write_bcf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sigma_scale.readers import read


def plain_pixel(data, n_channels):
    """Counts of one packed pixel, decoded number by number."""
    _, _, _, _, flag, _, n_pulses, size = struct.unpack_from("<IHHIHHHI", data)
    body = data[22:]
    counts = [0] * 65_536
    if flag == 0:
        for pulse in struct.unpack_from(f"<{n_pulses}H", body):
            counts[pulse] += 1
    elif flag == 1:
        words = struct.unpack(f"<{len(body) // 2}H", body)
        bits = "".join(f"{word:016b}" for word in words)
        for i in range(n_pulses):
            counts[int(bits[12 * i : 12 * i + 12].ljust(12, "0"), 2)] += 1
    else:
        at, channel, end = 0, 0, size - 4
        while at < end:
            width, number = body[at], body[at + 1]
            at += 2
            if width:
                base = int.from_bytes(body[at : at + width], "little")
                excess = body[at + width : at + width + (number * width + 1) // 2]
                nibbles = [n for byte in excess for n in (byte & 15, byte >> 4)]
                for i in range(number):
                    digits = nibbles[i * width : (i + 1) * width]
                    counts[channel + i] += base + sum(d << (4 * k) for k, d in enumerate(digits))
                at += width + len(excess)
            channel += number
        for pulse in struct.unpack_from(f"<{n_pulses}H", body, end + 4):
            counts[pulse] += 1
    return counts[:n_channels]


pulses_16 = st.lists(st.integers(0, 2100), max_size=40)
pulses_12 = st.lists(st.integers(0, 4095), max_size=40)
sparse = st.dictionaries(st.integers(0, 1999), st.integers(1, 70_000), max_size=30)


@st.composite
def packed_pixels(draw):
    x = draw(st.integers(0, 150))
    kind = draw(st.sampled_from(["16", "12", "runs"]))
    counts = np.zeros(4096, np.int64)
    if kind == "runs":
        for channel, count in draw(sparse).items():
            counts[channel] = count
        runs = pack_runs(counts, draw(st.sampled_from([None, 1, 2, 4, 8])))
        extra = draw(pulses_16)
        tail = struct.pack(f"<I{len(extra)}H", 2 * len(extra), *extra)
        flag, n, size, body = draw(st.integers(2, 9)), len(extra), len(runs) + 4, runs + tail
    else:
        pulses = draw(pulses_12 if kind == "12" else pulses_16)
        np.add.at(counts, pulses, 1)
        data = pack_pixel(x, counts, int(kind), np.random.default_rng(len(pulses)), None)
        return x, data
    return x, struct.pack("<IHHIHHHI", x, 4096, 0, 0, flag, 0, n, size) + body


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=st.lists(st.lists(packed_pixels(), max_size=6), min_size=1, max_size=4))
def test_decoding_equals_plain_python(tmp_path, lines):
    n_channels, columns = 1900, 151
    expected = np.zeros((len(lines), columns, n_channels), np.int64)
    out = [stream_head(len(lines), columns)]
    for y, pixels in enumerate(lines):
        out.append(struct.pack("<I", len(pixels)))
        for x, data in pixels:
            out.append(data)
            expected[y, x] += plain_pixel(data, n_channels)
    stream = b"".join(out)
    assert len(stream) >= FIRST_LINE
    shaped = np.broadcast_to(np.uint32(1), expected.shape)
    path = write_bcf(tmp_path / "map.bcf", shaped, streams=[stream])
    image = read(path)
    for j in range(2):
        block = image.source.read_block(0, j)
        np.testing.assert_array_equal(block.to_dense(), expected[:, 128 * j : 128 * (j + 1)])
    assert expected.max(initial=0) <= np.iinfo(image.source.dtype).max
