"""Options: names, contexts, the environment."""

import os
import subprocess
import sys

import dask.config
import pytest

from sigma_scale import config
from sigma_scale.errors import ParameterError


def in_new_process(code, **environment):
    return subprocess.run(  # noqa: S603 -- our own interpreter and code
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


def test_defaults_without_configuration():
    code = "from sigma_scale import config; print([config.get(n) for n in config._DEFAULTS])"
    clean = {k: "" for k in os.environ if k.startswith("DASK_SIGMA")}
    assert in_new_process(code, **clean).stdout.strip() == "[None, 'auto', False, '10m']"


def test_a_context_restores_what_was_set():
    before = {name: config.get(name) for name in ("memory_limit", "engine", "progress")}
    with config.options(memory_limit="2GB", progress=True):
        assert config.get("memory_limit") == "2GB"
        assert config.get("progress") is True
        with config.options(memory_limit="1GB"):
            assert config.get("memory_limit") == "1GB"
            assert config.get("progress") is True
        assert config.get("memory_limit") == "2GB"
    assert {name: config.get(name) for name in before} == before


def test_an_error_inside_the_context_restores_too():
    before = config.get("engine")
    with pytest.raises(RuntimeError), config.options(engine="cpu"):
        raise RuntimeError
    assert config.get("engine") == before


def test_options_set_for_good_hold_until_set_again():
    before = config.get("engine")
    try:
        config.options(engine="cpu")
        assert config.get("engine") == "cpu"
    finally:
        config.options(engine=before)
    assert config.get("engine") == before


@pytest.mark.parametrize("name", ["memory", "Progress", "sigma_scale.progress"])
def test_an_unknown_option_is_named_with_those_there_are(name):
    with pytest.raises(ParameterError, match=rf"'{name}'.*memory_limit, engine, progress"):
        config.get(name)
    with pytest.raises(ParameterError, match=name):
        config.options(**{name: 1})


def test_one_unknown_option_sets_none_of_them():
    before = config.get("progress")
    with pytest.raises(ParameterError):
        config.options(progress=not before, nonsense=1)
    assert config.get("progress") == before


def test_dask_configuration_is_ours():
    with dask.config.set({"sigma_scale.memory_limit": "3GB"}):
        assert config.get("memory_limit") == "3GB"


@pytest.mark.parametrize(("value", "size"), [("8GB", 8_000_000_000), ("1MiB", 2**20), ("500", 500)])
def test_the_environment_sets_options(value, size):
    code = "from sigma_scale import compute; print(compute.memory_limit())"
    done = in_new_process(code, DASK_SIGMA_SCALE__MEMORY_LIMIT=value)
    assert int(done.stdout) == size


def test_the_environment_turns_progress_on():
    code = "from sigma_scale import config; print(config.get('progress'))"
    assert in_new_process(code, DASK_SIGMA_SCALE__PROGRESS="True").stdout.strip() == "True"
