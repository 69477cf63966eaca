"""The benchmark of spectra per phase runs, on a toy, so that it doesn't rot."""

import json

from benchmarks import phases_spectra


def test_phases_spectra(tmp_path):
    out = tmp_path / "result.json"
    result = phases_spectra.main(["--side", "256", "--repeats", "1", "--out", str(out)])
    assert result.figures["labels"] > 1
    assert result.figures["with totals, share of the limit"] > 0
    assert json.loads(out.read_text())["figures"] == result.figures
