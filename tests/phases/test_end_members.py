"""End-members from regions and files, against what was put in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from rsciio.msa import file_writer

from sigma_scale.errors import (
    EmptyMapError,
    FileFormatError,
    ParameterError,
    ShapeMismatchError,
    SourceNotFoundError,
)
from sigma_scale.phases.end_member_checks import end_member_array
from sigma_scale.phases.end_members import read_end_members, region_end_members
from sigma_scale.phases.pixel_unmixing import unmix_pixels


def write_emsa(path, values, *, scale=0.01, offset=-0.2, units="keV", signal_type="EDS_SEM"):
    file_writer(
        str(path),
        {
            "data": np.asarray(values, float),
            "axes": [
                {
                    "name": "Energy",
                    "scale": scale,
                    "offset": offset,
                    "units": units,
                    "size": len(values),
                    "navigate": False,
                }
            ],
            "metadata": {"General": {"title": "x"}, "Signal": {"signal_type": signal_type}},
            "original_metadata": {},
        },
    )
    return path


def test_regions_are_summed(image, counts):
    first = np.zeros(counts.shape[:2], bool)
    first[3:40, 120:140] = True
    spectra = region_end_members(image, {"left": first, "rest": xr.DataArray(~first)})
    assert spectra["phase"].to_numpy().tolist() == ["left", "rest"]
    np.testing.assert_array_equal(spectra[0], counts[first].sum(axis=0))
    np.testing.assert_array_equal(spectra[1], counts[~first].sum(axis=0))
    assert (spectra.dtype, spectra.attrs["units"]) == (np.float64, "counts")
    seen = image.with_processing(total_from=0)
    shares = region_end_members(seen, {"left": first})
    assert float(shares.sum()) == pytest.approx(counts[first].any(axis=1).sum())
    assert shares.attrs["units"] == "share"
    unmix_pixels(image, spectra)


def test_bad_regions(image):
    with pytest.raises(ParameterError, match="no regions"):
        region_end_members(image, {})
    with pytest.raises(EmptyMapError, match="no pixels"):
        region_end_members(image, {"a": np.zeros(image.shape[:2], bool)})
    with pytest.raises(ShapeMismatchError, match="mask"):
        region_end_members(image, {"a": np.ones((3, 3), bool)})


def test_emsa_files(tmp_path, image):
    values = np.arange(300.0)
    in_kev = write_emsa(tmp_path / "quartz.msa", values)
    in_ev = write_emsa(tmp_path / "mica.emsa", values[::-1], scale=10, offset=-200, units="eV")
    spectra = read_end_members([in_kev, str(in_ev)], image)
    assert spectra["phase"].to_numpy().tolist() == ["quartz", "mica"]
    np.testing.assert_allclose(spectra, [values, values[::-1]])
    named = read_end_members({"SiO2": in_kev}, image)
    assert named["phase"].to_numpy().tolist() == ["SiO2"]
    np.testing.assert_allclose(named["energy"], spectra["energy"])


def test_tables_come_back_as_they_were_written(tmp_path, image):
    energies = pd.Index(image.coordinates()["energy"][1], name="energy_kev")
    table = pd.DataFrame(
        np.random.default_rng(0).random((300, 2)), index=energies, columns=["cpnt_0", "cpnt_1"]
    )
    for separator in (",", ";", "\t"):
        table.to_csv(tmp_path / "components.csv", sep=separator)
        xr.testing.assert_allclose(
            read_end_members(tmp_path / "components.csv", image).drop_attrs(),
            end_member_array(table, image).drop_attrs(),
        )


def test_other_channels_keep_the_counts_per_kev(tmp_path, image):
    # A triangle, which linear interpolation keeps, on channels of half the width.
    axis = -0.2 + 0.005 * np.arange(500)
    counts = np.maximum(0, 1 - np.abs(axis - 1.0))
    path = write_emsa(tmp_path / "fine.msa", counts, scale=0.005)
    spectrum = read_end_members(path, image)[0]
    energies = image.coordinates()["energy"][1]
    inside = energies <= axis[-1] + 0.0025
    expected = 2 * np.maximum(0, 1 - np.abs(energies - 1.0))
    np.testing.assert_allclose(spectrum[inside], expected[inside], atol=1e-5)
    assert np.isnan(spectrum[~inside]).all()
    assert (~inside).sum() == 50
    with pytest.raises(ParameterError, match="fine have no numbers in 50 channels"):
        unmix_pixels(image, spectrum.expand_dims("phase"))
    unmix_pixels(image, spectrum.expand_dims("phase"), left_out=[(2.29, 9)])


def test_bad_files(tmp_path, image):
    with pytest.raises(SourceNotFoundError, match=r"absent\.csv"):
        read_end_members(tmp_path / "absent.csv", image)
    path = tmp_path / "bad.csv"
    for content, what in [
        ("energy_kev,a\n1,x\n2,y\n", "not a table of spectra"),
        ("energy_kev,a\n2,1\n1,1\n", "don't ascend"),
        ("energy_kev,a\n1,1\n", "holds no spectrum"),
        ("", "table of spectra"),
    ]:
        path.write_text(content)
        with pytest.raises(FileFormatError, match=what) as caught:
            read_end_members(path, image)
        assert "bad.csv" in str(caught.value)
    path.write_text("energy_kev,a,b\n-1,1,1\n4,1,1\n")
    with pytest.raises(ParameterError, match="2 spectra"):
        read_end_members({"one": path}, image)
    with pytest.raises(ParameterError, match="same name: a, b"):
        read_end_members([path, path], image)
    broken = tmp_path / "broken.msa"
    broken.write_text("#FORMAT : EMSA/MAS Spectral Data File\n#SPECTRUM : here\n1,\nx,\n")
    with pytest.raises(FileFormatError, match=r"broken\.msa"):
        read_end_members(broken, image)
