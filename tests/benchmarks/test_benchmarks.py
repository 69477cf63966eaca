"""Each benchmark runs, on a toy, so that none of them rots."""

import json

import pytest

from benchmarks import compressors, feature_pass, ingest


@pytest.fixture(autouse=True)
def _root_on_path(monkeypatch, request):
    monkeypatch.syspath_prepend(str(request.config.rootpath))
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))


def test_feature_pass(tmp_path):
    result = feature_pass.main(
        ["--side", "256", "--repeats", "1", "--out", str(tmp_path / "result.json")]
    )
    assert result is not None
    assert result.figures["feature pass, Mpx/s, 2 threads"] > 0
    assert result.figures["times the dense peer"] > 0
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["machine"]["cores"] >= 1
    assert written["figures"] == result.figures


def test_compressors(tmp_path):
    results = compressors.main(
        ["--side", "128", "--repeats", "1", "--out", str(tmp_path / "c.json")]
    )
    assert {name for name, _ in results.figures.items() if name.startswith("zstd 1")}


def test_ingest(tmp_path):
    results = ingest.main(["--side", "48", "--repeats", "1", "--out", str(tmp_path)])
    assert [result.name for result in results] == [
        "decoding .bcf",
        "ingest .bcf",
        "ingest .h5oina",
        "ingest .rpl",
        "ingest .emd",
    ]
    decoding = json.loads((tmp_path / "decoding_bcf.json").read_text())["figures"]
    assert decoding["0.1 counts per pixel: times the dense decoder"] > 0
    for result in results[1:]:
        assert 0 < result.figures["peak memory of the process, MB"] < 1000


@pytest.mark.slow
def test_the_pass_takes_less_than_500_mb_above_its_outputs():
    result = feature_pass.run(4096, repeats=1, counts=5.0, compressor="zstd", dense=False)
    assert result.figures["peak memory above outputs, MB"] < 500
