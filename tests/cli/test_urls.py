"""Commands with stores by URL."""

import numpy as np
import pytest

from sigma_scale import store
from sigma_scale.cli import main
from sigma_scale.errors import StoreError
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow.project import Project


@pytest.fixture(scope="module")
def made():
    return synthetic_map((64, 64), seed=2).image


@pytest.fixture
def url(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = f"memory://cli-{tmp_path.name}/map.zarr"
    store.write_map(made, place)
    return place


def refusal(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_store_is_ingested_described_and_exported(url, made, tmp_path, capsys):
    copy = url.replace("map.zarr", "copy.zarr")
    main(["ingest", url, copy, "--verify"])
    said = capsys.readouterr().out
    assert f"{copy}: 64 x 64 pixels" in said
    assert f"agree with {url}" in said
    main(["info", copy])
    said = capsys.readouterr().out
    assert "64 x 64 pixels" in said
    assert f"{store.size_of_counts(copy):,} bytes" in said
    main(["export", copy, "plain.zarr"])
    import zarr

    exported = zarr.open_group("plain.zarr", mode="r")["counts"]
    np.testing.assert_array_equal(exported, made.to_xarray())


def test_results_go_into_the_store_and_the_rest_to_a_local_folder(url, tmp_path, capsys):
    options = ["--clustering", "GaussianMixture", "--cluster-arg", "n_components=3"]
    main(["run", url, "-o", "found", "--latent", "n_epochs=5", *options])
    assert store.result_names(url) == ["binned", "latent", "phases"]
    assert (tmp_path / "found" / "report.html").is_file()
    assert not (tmp_path / "found" / "map.zarr").exists()
    main(["export", url, "labels.ome.tif"])
    assert (tmp_path / "labels.ome.tif").is_file()
    project = Project.open(url)
    assert project.name == "map"
    assert project.segmenter is not None
    assert not project.refresh()
    with pytest.raises(StoreError, match=r"not saved.*memory://.*Copy it to a local folder"):
        project.edit(lambda clusters: clusters.merge_clusters([0, 1]))
    with pytest.raises(StoreError, match="not in a local folder"):
        project.embed()
    assert project.unsaved == 1
    assert len(store.open_result(url, "phases")["labels"].shape) == 2


def test_what_cannot_be_at_a_url_is_refused(url, capsys):
    assert "Results go to a local file or folder" in refusal(
        ["run", url, "-o", "s3://bucket/found"], capsys
    )
    assert "not read by URL" in refusal(["info", f"{url}/zarr.json"], capsys)
    assert "can't be at https://" in refusal(["info", "https://example.org/map.zarr"], capsys)
    assert "There is no file memory://none/map.zarr" in refusal(
        ["info", "memory://none/map.zarr"], capsys
    )
