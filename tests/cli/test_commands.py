"""What the commands say and do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from commands import QUICK, hspy, refused

from sigma_scale import store
from sigma_scale.clustering.cluster import CLUSTERING_METHODS
from sigma_scale.workflow import RunSettings, job


def test_a_run_says_what_it_found_and_where(call, map_store, tmp_path):
    code, out, err = call("run", map_store, "-o", "out", *QUICK)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["phase", "area", "elements"]
    assert out.splitlines()[-1] == "Report: out/report.html"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    refused(call("run", map_store, "-o", "out", *QUICK), "out exists already")
    code, _, _ = call("run", map_store, "-o", "out", "--overwrite", "--seed", "5", *QUICK)
    assert code == 0
    assert RunSettings.from_yaml(tmp_path / "out" / "settings.yaml").random_state == 5


def test_options_change_what_the_settings_file_says(call, map_store, tmp_path, monkeypatch):
    seen = []

    def remember(source, settings, output, *, overwrite, options):
        seen.append((source, settings, output, overwrite))
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "run_job", remember)
    stored = RunSettings(
        lines=("O_Ka", "Al_Ka"), bin=(4, 4), latent={"n_neighbors": 9}, random_state=3,
        clustering="GaussianMixture", clustering_args={"n_components": 5},
    )  # fmt: skip
    (tmp_path / "s.yaml").write_text(stored.to_yaml())
    file = ["--settings", "s.yaml"]
    call("run", map_store, *file)
    call("run", map_store, *file, "--lines", "Si_Ka, Fe_Ka", "--bin", "2x3", "--overwrite")
    call("run", map_store, *file, "--latent", "min_dist=0.3", "--cluster-arg", "tol=1e-2")
    call("run", map_store, *file, "--clustering", "HDBSCAN", "--bin", "auto", "-o", "elsewhere")
    call("run", map_store, *file, "--normalisation", "none", "--navigation", "--end-members", "2")
    call("run", map_store, *file, "--remove-below", "0.3", "--seed", "8")
    call("run", map_store, "--bin", "3")
    call("run", map_store)
    settings = [entry[1] for entry in seen]
    assert settings[0] == stored
    assert settings[1] == replace(stored, lines=("Si_Ka", "Fe_Ka"), bin=(2, 3))
    latent, arguments = {**stored.latent, "min_dist": 0.3}, {"n_components": 5, "tol": 0.01}
    assert settings[2] == replace(stored, latent=latent, clustering_args=arguments)
    assert settings[3] == replace(stored, clustering="HDBSCAN", clustering_args={}, bin="auto")
    assert settings[4] == replace(stored, normalisation=(), navigation=True, n_end_members=2)
    assert settings[5] == replace(stored, remove_below_kev=0.3, random_state=8)
    assert settings[6] == RunSettings(bin=(3, 3))
    assert settings[7] == RunSettings()
    assert [entry[3] for entry in seen] == [False, True, *[False] * 6]
    assert [str(entry[2]) for entry in seen[2:4]] == ["map-phases", "elsewhere"]


def test_the_settings_of_a_run_make_it_again(call, map_store, tmp_path):
    call("run", map_store, "-o", "one", *QUICK, "--clustering", "GaussianMixture",
         "--cluster-arg", "n_components=4")  # fmt: skip
    code, _, err = call("run", map_store, "-o", "two", "--settings", "one/settings.yaml")
    assert (code, err) == (0, "")
    tables = [tmp_path / name / "tables" / "phases.csv" for name in ("one", "two")]
    assert tables[0].read_bytes() == tables[1].read_bytes()


def test_ingest_then_run_the_store(call, tmp_path, image):
    dense = np.asarray(image.to_xarray())
    file = hspy(tmp_path / "map.hspy", dense, xray_lines=list(image.metadata.lines))
    code, out, err = call("ingest", file, "map.zarr")
    assert (code, out, err) == (0, "map.zarr: 64 x 64 pixels, 1,024 channels\n", "")
    np.testing.assert_array_equal(store.open_map(tmp_path / "map.zarr").to_xarray(), dense)
    written = (tmp_path / "map.zarr" / "zarr.json").stat().st_mtime_ns
    assert call("ingest", file, "map.zarr")[:2] == (code, out)
    assert (tmp_path / "map.zarr" / "zarr.json").stat().st_mtime_ns == written
    assert call("ingest", file, "map.zarr", "--overwrite", "--compressor", "lz4")[0] == 0
    assert call("run", "map.zarr", *QUICK)[0] == 0
    assert call("run", file, "-o", "from_file", *QUICK)[0] == 0
    tables = [tmp_path / name / "tables" / "phases.csv" for name in ("map-phases", "from_file")]
    assert tables[0].read_bytes() == tables[1].read_bytes()


def test_info_on_a_store_and_on_a_file(call, map_store, image, tmp_path):
    code, out, err = call("info", map_store)
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    counts = int(image.sum_spectrum().sum())
    for fact in (
        "title synthetic minerals", "map 64 x 64 pixels (x, y), 1,024 channels", f"{counts:,}",
        "beam energy 20 keV", "130 eV at Mn Ka", "pixel 1 x 1 µm (x, y)",
        "images navigation (64 x 64)", "stored counts", ", ".join(image.metadata.lines),
    ):  # fmt: skip
        assert fact in said
    file = hspy(tmp_path / "map.hspy", np.ones((3, 5, 40), np.uint16))
    code, out, err = call("info", file)
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    for fact in ("title map", "5 x 3 pixels", "uint16", "600, 40 per pixel", "lines not named",
                 "beam energy not known", "map.hspy"):  # fmt: skip
        assert fact in said
    assert "stored counts" not in said


def test_info_on_a_real_file(call, real_data):
    code, out, err = call("info", real_data / "P45_the_default_job.bcf")
    assert (code, err) == (0, "")
    assert "100 x 75 pixels (x, y), 2,048 channels" in out


def test_doctor_names_versions_engines_and_memory(call):
    code, out, err = call("doctor")
    assert (code, err) == (0, "")
    names = [line.split()[0] for line in out.splitlines()]
    assert {"Python", "numpy", "umap-learn", "hdbscan", "engine", "processors"} <= set(names)
    assert np.__version__ in out
    assert ".bcf, " in out
    assert "engine gpu" in out


def test_demo_says_how_well_it_agrees(call, tmp_path):
    code, out, _ = call("demo", "--side", "64", *QUICK)
    assert code == 0
    assert "Agreement with the known phases (adjusted Rand index): 0." in out
    assert (tmp_path / "sigma-scale-demo" / "report.html").is_file()


def test_help_lists_the_commands(call):
    for arguments in (["--help"], []):
        code, out, err = call(*arguments)
        assert (code, err) == (0, "")
        for command in ("demo", "doctor", "info", "ingest", "run"):
            assert f"\n  {command} " in out
    for command in ("demo", "doctor", "info", "ingest", "run"):
        assert call(command, "--help")[0] == 0


def test_help_names_all_methods_of_clustering(call):
    said = " ".join(call("run", "--help")[1].split())
    methods = said.partition("--clustering METHOD ")[2].partition(". --")[0]
    assert set(methods.replace(" or ", ", ").split(", ")) == set(CLUSTERING_METHODS)


def test_more_end_members_than_phases_are_as_many_as_there_are(call, map_store, tmp_path):
    (tmp_path / "s.yaml").write_text("n_end_members: 5")
    method = ["--clustering", "KMeans", "--cluster-arg", "n_clusters=3"]
    code, _, err = call("run", map_store, "-o", "out", "--settings", "s.yaml", *method, *QUICK)
    assert code == 0
    assert err == (
        "Note: n_end_members is 5, but there are only 3 phases: their spectra are unmixed into 3 "
        "end members.\n"
    )
    weights = (tmp_path / "out" / "tables" / "end_member_weights.csv").read_text().splitlines()
    assert len(weights) == 1 + 3
    assert len(weights[0].split(",")) == 1 + 3


def test_version(call):
    import sigma_scale

    assert call("--version")[1].split()[-1] == sigma_scale.__version__


def test_k_factors_add_a_composition(call, map_store, tmp_path):
    (tmp_path / "k.csv").write_text("line,k_factor\nO_Ka,2\nSi_Ka,1\nFe_Ka,1.2\n")
    code, _, err = call("run", map_store, "-o", "out", "--k-factors", "k.csv", *QUICK)
    assert code == 0
    assert "no k-factors for " in err
    table = (tmp_path / "out" / "tables" / "composition.csv").read_text()
    assert table.startswith("phase,element,line,k_factor,net,")
    assert "relative measure, no quantification" in table
    settings = RunSettings.from_yaml(tmp_path / "out" / "settings.yaml")
    assert settings.k_factors == {"O_Ka": 2.0, "Si_Ka": 1.0, "Fe_Ka": 1.2}
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "A relative measure, no quantification" in report
    refused(call("run", map_store, "-o", "b", "--k-factors", "no.csv", *QUICK), "no.csv")
    (tmp_path / "k.csv").write_text("line,k_factor\nAu_Ma,2\n")
    ended = call("run", map_store, "-o", "b", "--lines", "O_Ka,Fe_Ka", "--k-factors", "k.csv")
    refused(ended, "O_Ka, Fe_Ka", "Au_Ma")
