"""Settings: from a file, from names and values, and back."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from sigma_scale.errors import ParameterError, SourceNotFoundError
from sigma_scale.workflow import RunSettings

UNUSUAL = RunSettings(
    lines=("O_Ka", "Si_Ka"),
    bin=(2, 3),
    normalise=False,
    remove_below_kev=None,
    normalisation=("zscore", "softmax"),
    navigation=True,
    latent={"n_neighbors": 7, "min_dist": 0.5, "init": "pca"},
    clustering="GaussianMixture",
    clustering_args={"n_components": 4},
    n_end_members=3,
    k_factors={"O_Ka": 1.9, "Si_Ka": 1.0},
    random_state=11,
)


@pytest.mark.parametrize("settings", [RunSettings(), UNUSUAL], ids=["default", "unusual"])
def test_settings_come_back_from_their_file(settings, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(settings.to_yaml(), encoding="utf-8")
    assert RunSettings.from_yaml(file) == settings
    assert RunSettings.from_mapping(dataclasses.asdict(settings)) == settings


def test_the_file_holds_plain_yaml_with_every_setting():
    values = yaml.safe_load(UNUSUAL.to_yaml())
    assert list(values) == [field.name for field in dataclasses.fields(RunSettings)]
    assert values["lines"] == ["O_Ka", "Si_Ka"]
    assert values["bin"] == [2, 3]
    assert values["latent"] == {
        "n_neighbors": 7, "min_dist": 0.5, "n_landmarks": 20_000, "init": "pca"
    }  # fmt: skip


def test_the_unusual_settings_differ_everywhere():
    """Otherwise the round trip would prove less than it says."""
    usual, unusual = dataclasses.asdict(RunSettings()), dataclasses.asdict(UNUSUAL)
    assert [name for name in usual if usual[name] == unusual[name]] == []


def test_an_empty_file_means_the_defaults(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("# nothing yet\n", encoding="utf-8")
    assert RunSettings.from_yaml(file) == RunSettings()


def test_lists_become_tuples_and_settings_stay_as_they_are():
    given = {"n_neighbors": 9}
    settings = RunSettings.from_mapping({"lines": ["O_Ka"], "bin": [4, 4], "latent": given})
    assert settings.lines == ("O_Ka",)
    assert settings.bin == (4, 4)
    given["n_neighbors"] = 99
    assert settings.latent["n_neighbors"] == 9
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.lines = None


def test_parameters_of_umap_add_to_the_defaults():
    latent = RunSettings(latent={"n_epochs": 50, "min_dist": 0.2}).latent
    assert latent == {**RunSettings().latent, "n_epochs": 50, "min_dist": 0.2}


def test_unknown_names_are_answered_with_those_there_are():
    with pytest.raises(
        ParameterError, match=r"Unknown settings: colour, 3\. There are: lines, bin"
    ):
        RunSettings.from_mapping({"colour": "red", 3: 4})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lines", "O_Ka"),
        ("lines", [1]),
        ("bin", 2),
        ("bin", [2]),
        ("bin", [2, 2.5]),
        ("bin", [True, 1]),
        ("bin", "small"),
        ("normalise", "yes"),
        ("navigation", 1),
        ("remove_below_kev", "0.1"),
        ("remove_below_kev", True),
        ("normalisation", "zscore"),
        ("latent", None),
        ("latent", ["n_neighbors"]),
        ("clustering", 5),
        ("clustering_args", "none"),
        ("n_end_members", 1.5),
        ("n_end_members", 0),
        ("random_state", None),
        ("random_state", -1),
        ("random_state", 2**32),
        ("random_state", True),
    ],
)
def test_values_of_the_wrong_kind_are_named(name, value):
    with pytest.raises(ParameterError, match=f"^{name} must "):
        RunSettings.from_mapping({name: value})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceNotFoundError, match=r"no settings file .*none\.yaml"):
        RunSettings.from_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"lines: [O_Ka", "isn't valid YAML: line 1, column 13"),
        (b"\xff\xfe\x00", "can't be read"),
        (b"!!python/object/apply:os.getcwd []", "isn't valid YAML: line 1, column 1"),
        (b"- O_Ka\n- Si_Ka\n", "must map names to values"),
        (b"fast", "must map names to values"),
    ],
)
def test_files_that_are_no_settings_are_refused_in_one_line(content, message, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_bytes(content)
    with pytest.raises(ParameterError, match=message) as caught:
        RunSettings.from_yaml(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_settings_file(tmp_path):
    with pytest.raises(ParameterError, match="can't be read"):
        RunSettings.from_yaml(tmp_path)


def test_a_table_of_k_factors_is_read_at_once(tmp_path):
    table = tmp_path / "k.csv"
    table.write_text("line,k_factor\nO_Ka,1.9\nSi_Ka,1\n")
    settings = RunSettings.from_mapping({"k_factors": str(table)})
    assert settings.k_factors == {"O_Ka": 1.9, "Si_Ka": 1.0}
    assert yaml.safe_load(settings.to_yaml())["k_factors"] == settings.k_factors
    with pytest.raises(SourceNotFoundError, match=r"no\.csv"):
        RunSettings(k_factors=tmp_path / "no.csv")


@pytest.mark.parametrize("factors", [{"O_Ka": 0}, {"O_Ka": "x"}, {"O_Ka": float("inf")}, [1, 2], 3])
def test_k_factors_that_are_none_are_refused(factors):
    with pytest.raises(ParameterError, match="k_factors must"):
        RunSettings(k_factors=factors)
