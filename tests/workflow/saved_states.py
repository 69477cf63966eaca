"""Segmentations to save, and archives of saved ones with something changed."""

from __future__ import annotations

import copy
import json
import zipfile
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from sigma_scale.errors import StoreError
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow.segmenter import PixelSegmenter

SHAPE = (24, 32)
CENTRES = [[0, 0], [5, 0], [0, 5], [5, 5]]
ROWS, _ = make_blobs(24 * 32, centers=CENTRES, cluster_std=0.8, random_state=5)
METHODS = {
    "GaussianMixture": {"n_components": 5, "means_init": np.arange(10.0).reshape(5, 2)},
    "BayesianGaussianMixture": {"n_components": 3, "tol": 10.0, "n_fit": np.int64(500)},
    "Kmeans": {"n_clusters": 4},
    "HDBSCAN": {"min_cluster_size": 20},
}


def dataset_of(seed=0, shape=SHAPE, **changes):
    image = synthetic_map(shape, channels=64, scale_kev=0.16, grain_size=8, seed=seed).image
    features = np.random.default_rng(0).normal(size=(*shape, 2))
    return SimpleNamespace(
        processed=replace(image, **changes),
        shape=shape,
        feature_list=["Si_Ka", "Fe_Ka"],
        normalised_elemental_data=features,
    )


DATASET = dataset_of()


@cache
def fitted(method):
    return PixelSegmenter(ROWS, DATASET, method, METHODS[method])


def segmenter(method="GaussianMixture", dataset=DATASET):
    """A segmenter of its own; the fit is made once."""
    ps = copy.copy(fitted(method))
    ps._history = copy.copy(ps._history)
    ps._take_dataset(dataset)
    return ps


def edited(ps):
    ps.merge_clusters([0, 2], name="both")
    ps.create_cluster(np.arange(100))
    ps.relabel_pixels(np.arange(50, 120), -1)
    ps.recolour_clusters([0, -1], "#010203")
    ps.rename_cluster(1, "second")
    ps.drop_empty_clusters()
    ps.undo()
    return ps


def snapshot(ps):
    return (
        ps.labels.tolist(), ps.prob_map.tolist(), ps.latent.tolist(), ps.cluster_colors,
        ps.cluster_names, ps.edit_log, ps.can_redo, ps.method, ps.n_components,
        ps.bic_list, repr(ps.mu.tolist()), ps.height, ps.width, ps.feature_list,
    )  # fmt: skip


def rewritten(path, target, change):
    """Copy an archive with one entry changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            content = change(entry.filename, old.read(entry))
            if content is not None:
                new.writestr(entry.filename, content)


def in_turn(*changes):
    """Several changes as one."""

    def change(name, content):
        for each in changes:
            content = each(name, content)
        return content

    return change


def with_document(edit):
    """Change the document by a function that changes it in place."""

    def change(name, content):
        if name != "zarr.json":
            return content
        node = json.loads(content)
        edit(node["attributes"]["sigma_scale"])
        return json.dumps(node)

    return change


def document_with(**changes):
    return with_document(lambda document: document.update(changes))


def array_with(array, **changes):
    def change(name, content):
        if name != f"{array}/zarr.json":
            return content
        return json.dumps(json.loads(content) | changes)

    return change


def chunk_with(array, make):
    """Change the only chunk of an array by a function of its (packed) content."""
    return lambda name, content: make(content) if name.startswith(f"{array}/c/") else content


def without(start):
    """Leave out the entries whose names begin so."""
    return lambda name, content: None if name.startswith(start) else content


def refused(ps, path, error=StoreError, match=None):
    """Neither way of loading accepts a file, and nothing of the segmenter has changed."""
    before, attributes = snapshot(ps), vars(ps).copy()
    with pytest.raises(error, match=match):
        ps.load_state(path)
    assert all(vars(ps)[name] is value for name, value in attributes.items())
    assert snapshot(ps) == before
    with pytest.raises(error, match=match):
        PixelSegmenter.from_saved_state(path, ps.dataset)
