"""Shared by the tests of the command: what is quick, files, and how errors look."""

from __future__ import annotations

QUICK = ["--latent", "n_landmarks=500", "--latent", "n_epochs=30"]


def hspy(path, data, signal_type="EDS_SEM", **sample):
    """Write a file as HyperSpy would."""
    from rsciio.hspy import file_writer

    names = ["y", "x", "Energy"][-data.ndim :]
    axes = [
        {
            "_type": "UniformDataAxis", "name": name, "size": size, "scale": 0.01, "offset": 0.0,
            "units": "keV" if name == "Energy" else "µm", "navigate": name != "Energy",
            "is_binned": False,
        }
        for name, size in zip(names, data.shape, strict=True)
    ]  # fmt: skip
    metadata = {
        "General": {"title": ""}, "Signal": {"signal_type": signal_type}, "Sample": sample
    }  # fmt: skip
    content = {
        "data": data, "axes": axes, "metadata": metadata, "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "hyperspy", "package_version": "2.3"},
        "tmp_parameters": {}, "learning_results": {}, "models": {},
    }  # fmt: skip
    file_writer(str(path), content, show_progressbar=False)
    return path


def refused(ended, *words):
    """Whether a command ended with one line that says what is wrong."""
    code, out, err = ended
    assert code == 2
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("Error: ")
    for word in words:
        assert word in lines[0]
