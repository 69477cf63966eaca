"""The autoencoder's benchmark runs, on a toy, so that it doesn't rot."""

import re

import pytest

pytest.importorskip("torch", reason="autoencoders need PyTorch")

from benchmarks import autoencoder
from benchmarks.record import read_results


@pytest.mark.slow
def test_autoencoder(tmp_path):
    path = tmp_path / "autoencoder.json"
    results = autoencoder.main(["--quick", "--out", str(path)])
    (result,) = results
    training, batches, encoding = result.rows
    for row in result.rows:
        assert row.seconds > 0
        assert row.times_peer > 0
        assert row.of_limit > 0
    assert training.peak_memory > 0
    assert encoding.peak_memory > 0
    # Both did the same work: without that, the ratio of their times would say nothing.
    apart = re.search(r"losses differ by (\S+) of", training.agreement)
    assert float(apart.group(1)) < 1e-5
    assert batches.agreement == "equal"
    apart = re.search(r"differs by at most (\S+) of", encoding.agreement)
    assert encoding.agreement == "equal" or float(apart.group(1)) < 1e-5
    assert result.machine["versions"]["torch"]
    assert read_results(path) == results


def test_both_ways_make_the_same_batches():
    import torch

    rows, order = torch.arange(70.0).reshape(35, 2), torch.randperm(35)
    ours, peers = (list(make(rows, order, 8)) for make in autoencoder.BATCHES.values())
    assert [len(batch) for batch in ours] == [8, 8, 8, 8, 3]
    for one, other in zip(ours, peers, strict=True):
        assert torch.equal(one, other)


def test_products_are_counted_twice_for_each_weight():
    # Three features, a layer of five, two latent numbers, and back.
    assert autoencoder.products(autoencoder.network(3, [5])) == 2 * 2 * (3 * 5 + 5 * 2)
