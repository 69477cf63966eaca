"""Tables as CSV and Parquet, and spectra as EMSA/MAS."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from rsciio import msa

from sigma_scale.errors import EngineUnavailableError, OutputExistsError, ParameterError
from sigma_scale.export import export_spectra, export_table, tables
from sigma_scale.spectra import MapMetadata


@pytest.fixture
def table():
    return pd.DataFrame(
        {"name": ["quartz", 'µ, "x"'], "share": [0.1 + 0.2, np.nan], "pixels": [3, 2**60]},
        index=pd.Index([0, -1], name="label"),
    )


def test_csv_keeps_all_digits_and_texts(tmp_path, table):
    path = export_table(table, tmp_path / "t.csv")
    read = pd.read_csv(path, index_col="label")
    pd.testing.assert_frame_equal(read, table, check_exact=True)


def test_parquet_keeps_types(tmp_path, table):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    path = export_table(table.astype({"pixels": np.uint64}), tmp_path / "t.parquet")
    read = pd.read_parquet(path)
    pd.testing.assert_frame_equal(read, table.astype({"pixels": np.uint64}), check_exact=True)
    numbered = export_table(pd.DataFrame([[1, 2]], columns=[0, 1]), tmp_path / "n.parquet")
    assert list(pd.read_parquet(numbered).columns) == ["0", "1"]
    mixed = pd.DataFrame({"a": [1, "x", object()]})
    with pytest.raises(ParameterError, match="Parquet can't hold this table"):
        export_table(mixed, tmp_path / "mixed.parquet")
    assert not (tmp_path / "mixed.parquet").exists()


def test_without_pyarrow_the_remedy_is_named(tmp_path, table, monkeypatch, left):
    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    with pytest.raises(EngineUnavailableError, match=r"t.parquet .*pip install.*\.csv"):
        export_table(table, tmp_path / "t.parquet")
    assert left() == []


def test_tables_are_replaced_only_if_asked(tmp_path, table, left):
    path = export_table(table, tmp_path / "t.csv")
    with pytest.raises(OutputExistsError, match="exists already"):
        export_table(table, path)
    export_table(table.iloc[:1], path, overwrite=True)
    assert len(pd.read_csv(path)) == 1
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.csv" / "x").touch()
    with pytest.raises(OutputExistsError, match="no exported"):
        export_table(table, tmp_path / "folder.csv", overwrite=True)
    with pytest.raises(ParameterError, match=r"must end in \.csv, \.parquet"):
        export_table(table, tmp_path / "t.xlsx")
    assert left() == ["folder.csv", "t.csv"]


ENERGY = ("energy", -0.2 + 0.01 * np.arange(50), {"units": "keV"})
KNOWN = MapMetadata(
    title="Rock: 3 µm\n", beam_energy_kev=15.0, resolution_mn_ka_ev=128.5, live_time_s=12.5,
    elevation_deg=35.0, azimuth_deg=45.0,
)  # fmt: skip


def emsa(path):
    (signal,) = msa.file_reader(str(path))
    return signal


@pytest.mark.parametrize("dtype", [np.uint64, np.uint32, np.float32, np.float64])
def test_a_spectrum_comes_back_with_axis_and_metadata(tmp_path, dtype):
    values = (np.random.default_rng(1).random(50) * 1e6).astype(dtype)
    if np.dtype(dtype).kind == "f":
        values = (values * 1e-13).astype(dtype)  # as small as those of a divided spectrum
        values[3] = np.nan
    spectrum = xr.DataArray(values, dims=("energy",), coords={"energy": ENERGY})
    (path,) = export_spectra(spectrum, tmp_path / "sum.msa", metadata=KNOWN)
    assert path == tmp_path / "sum.msa"
    signal = emsa(path)
    np.testing.assert_array_equal(signal["data"].astype(dtype), values)
    (axis,) = signal["axes"]
    assert (axis["scale"], axis["offset"], axis["units"]) == (0.01, -0.2, "keV")
    assert axis["size"] == 50
    own = signal["original_metadata"]
    assert own["TITLE"] == "Rock 3 um, sum"
    assert own["NPOINTS"] == 50
    assert own["SIGNALTYPE"] == "EDS"
    values = {name.split("-")[0].strip(): value for name, value in own.items()}
    assert values["BEAMKV"] == 15
    assert values["LIVETIME"] == 12.5
    assert values["FWHMMNKA"] == 128.5
    assert (values["ELEVANGLE"], values["AZIMANGLE"]) == (35, 45)
    content = path.read_bytes()
    assert content.startswith(b"#FORMAT      : EMSA/MAS Spectral Data File\r\n")
    assert max(map(len, content.split(b"\r\n"))) <= 80
    assert content.isascii()


def test_spectra_per_phase_are_files_of_their_own(tmp_path, left):
    spectra = xr.DataArray(
        np.arange(100).reshape(2, 50), dims=("phase", "energy"),
        coords={"energy": ENERGY, "phase": [0, 7]},
    )  # fmt: skip
    paths = export_spectra(spectra.T, tmp_path / "rock.emsa", metadata=KNOWN)
    assert left() == ["rock_phase_0.emsa", "rock_phase_7.emsa"]
    for path, expected in zip(paths, spectra.values, strict=True):
        np.testing.assert_array_equal(emsa(path)["data"], expected)
        assert not any(key.startswith("LIVETIME") for key in emsa(path)["original_metadata"])
    with pytest.raises(OutputExistsError, match=r"rock_phase_0.emsa exists already"):
        export_spectra(spectra, tmp_path / "rock.emsa")
    export_spectra(spectra, tmp_path / "rock.emsa", overwrite=True, live_times_s=[3, 4.5])
    assert b"LIVETIME  -s: 4.5\r\n" in paths[1].read_bytes()


def test_none_is_written_if_one_is_in_the_way(tmp_path, left):
    spectra = xr.DataArray(
        np.ones((2, 50)), dims=("phase", "energy"), coords={"energy": ENERGY, "phase": [0, 1]}
    )
    (tmp_path / "a_phase_1.msa").write_text("notes")
    with pytest.raises(OutputExistsError, match="no exported"):
        export_spectra(spectra, tmp_path / "a.msa", overwrite=True)
    assert left() == ["a_phase_1.msa"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.drop_vars("energy"), "no energies"),
        (lambda s: s.isel(energy=[0, 1, 5]), "equal steps"),
        (lambda s: s.isel(energy=slice(0)), "no spectra"),
        (lambda s: s.isel(energy=0), "dimension energy"),
        (lambda s: s.expand_dims("x").expand_dims("y"), "dimension energy"),
        (lambda s: s.assign_coords(phase=["a b", "A_b"]), "same phase"),
    ],
)
def test_what_is_no_spectrum_is_refused(tmp_path, change, words, left):
    spectra = xr.DataArray(np.ones((2, 50)), dims=("phase", "energy"), coords={"energy": ENERGY})
    with pytest.raises(ParameterError, match=words):
        export_spectra(change(spectra), tmp_path / "a.msa")
    with pytest.raises(ParameterError, match="2 spectra and 1 live times"):
        export_spectra(spectra, tmp_path / "a.msa", live_times_s=[1.0])
    with pytest.raises(ParameterError, match="must end in"):
        export_spectra(spectra, tmp_path / "a.txt")
    assert left() == []
