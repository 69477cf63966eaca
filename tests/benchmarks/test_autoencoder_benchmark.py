"""The autoencoder's benchmark runs, on a toy, so that it doesn't rot."""

import json

import pytest

pytest.importorskip("torch", reason="autoencoders need PyTorch")

from benchmarks import autoencoder


@pytest.fixture(autouse=True)
def _root_on_path(monkeypatch, request):
    monkeypatch.syspath_prepend(str(request.config.rootpath))
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))


@pytest.mark.slow
def test_autoencoder(tmp_path, capsys):
    result = autoencoder.main(["--quick", "--out", str(tmp_path / "result.json")])
    assert result is not None
    figures = result.figures
    for kind in autoencoder.TRAINERS:
        assert figures[f"{kind}: time per epoch, s"] > 0
        assert figures[f"{kind}: training, rows/s"] > 0
        assert figures[f"{kind}: peak memory above the imports, MB"] > 0
    # Both did the same work: without that, the ratio of their times would say nothing.
    assert figures["slices: final loss"] > 0
    assert figures["final losses: relative difference"] < 1e-5
    for kind in autoencoder.ENCODERS:
        assert figures[f"{kind}: rows/s"] > 0
    assert figures["get_latent: largest difference / spread"] < 1e-5
    for name in ("training", "batches alone"):
        assert figures[f"{name}: times the DataLoader"] > 0
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["figures"] == figures
    assert written["machine"]["versions"]["torch"]
    assert "times the DataLoader" in capsys.readouterr().out


def test_both_ways_make_the_same_batches():
    import torch

    rows, order = torch.arange(70.0).reshape(35, 2), torch.randperm(35)
    ours, peers = (list(make(rows, order, 8)) for make in autoencoder.BATCHES.values())
    assert [len(batch) for batch in ours] == [8, 8, 8, 8, 3]
    for one, other in zip(ours, peers, strict=True):
        assert torch.equal(one, other)
