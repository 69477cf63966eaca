"""Compositions, areas and abundance of clusters against layer 1, NumPy, SciPy and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import nnls
from skimage import measure

from sigma_scale.errors import EmptyMapError, NoSpectraError, ParameterError
from sigma_scale.phases import Standard, fit_lines, net_lines
from sigma_scale.spectra.element_maps import ElementMaps
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow import ImageDataset, PixelSegmenter, SEMDataset, TEMDataset

LINES = ["O_Ka", "Mg_Ka", "Si_Ka", "Ca_Ka", "Fe_Ka"]
pytestmark = pytest.mark.filterwarnings("ignore:The weights of the fit:UserWarning")
K = {"O_Ka": 2.0, "Mg_Ka": 1.2, "Si_Ka": 1.0, "Ca_Ka": 1.0, "Fe_Ka": 1.25}


@pytest.fixture(scope="module")
def made():
    return synthetic_map((48, 64), counts_per_pixel=1500, grain_size=14, seed=3)


def segmenter(kind, made, *, denoised=False):
    dataset = kind(made.image)
    dataset.set_feature_list(LINES)
    dataset.rebin_signal((2, 2))
    if denoised:
        dataset.peak_denoising_PCA(5)
    dataset.peak_intensity_normalisation()
    dataset.remove_first_peak(end=0.1)
    dataset.normalisation(["zscore"])
    return PixelSegmenter(dataset.normalised_elemental_data, dataset, "Kmeans", {"n_clusters": 4})


@pytest.fixture(scope="module")
def ps(made):
    return segmenter(SEMDataset, made)


@pytest.fixture(scope="module")
def counts(made, ps):
    """Raw counts of each cluster, by NumPy."""
    dense = np.asarray(made.image.to_xarray()).astype(float)
    labels = np.kron(ps.label_map, np.ones((2, 2), int))
    sums = np.array([dense[labels == k].sum(axis=0) for k in range(4)])
    axes = {"phase": range(4), "energy": made.image.energy.values}
    attrs = {"beam_energy_kev": 20.0, "resolution_mn_ka_ev": 130.0}
    return xr.DataArray(sums, dims=("phase", "energy"), coords=axes, attrs=attrs)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    maps = xr.DataArray(
        rng.poisson(5, (8, 12, 2)).astype(float), dims=("y", "x", "line"),
        coords={"line": ["Fe", "Si"]},
    )  # fmt: skip
    dataset = ImageDataset(ElementMaps(maps, pixel_size=(0.5, 0.5), pixel_unit="µm"))
    dataset.rebin_signal((2, 2))
    features = dataset.normalisation(["zscore"])
    return PixelSegmenter(features, dataset, "Kmeans", {"n_clusters": 2})


@pytest.mark.parametrize(("overlaps", "measure_lines"), [(True, fit_lines), (False, net_lines)])
def test_lines_are_measured_in_raw_counts_of_a_processed_map(ps, counts, overlaps, measure_lines):
    found = ps.cluster_lines(overlaps=overlaps)
    expected = measure_lines(counts, LINES)
    for name in ("net", "net_error"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9)
    assert found.attrs["instrument"] == "SEM"


def test_of_a_denoised_map_the_counts_as_measured_count(made):
    ps = segmenter(SEMDataset, made, denoised=True)
    dense = np.asarray(made.image.to_xarray()).astype(float)
    labels = np.kron(ps.label_map, np.ones((2, 2), int))
    expected = [dense[labels == k].sum() for k in range(4)]
    np.testing.assert_array_equal(ps._counts().sum("energy"), expected)
    assert ps._counts().dtype.kind == "u"
    assert np.isfinite(ps.cluster_lines()["net"]).all()


@pytest.mark.parametrize("unit", ["weight", "atomic"])
def test_compositions_of_clusters(ps, counts, unit):
    from sigma_scale.xray import atomic_weight

    found = ps.quantify_clusters(K, unit=unit)
    masses = [atomic_weight(name.split("_")[0]) if unit == "atomic" else 1.0 for name in LINES]
    amounts = fit_lines(counts, LINES)["net"].to_numpy() * np.array(list(K.values())) / masses
    expected = 100 * amounts / amounts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found["composition"], expected, rtol=1e-9)
    assert (found["composition_error"] > 0).all()
    assert "no quantification" in found.attrs["statement"]


def test_a_thin_sample_gets_the_other_statement(made):
    found = segmenter(TEMDataset, made).quantify_clusters(K)
    assert found.attrs["statement"].startswith("Cliff-Lorimer ratios in the thin-film")


def test_missing_k_factors_name_the_lines(ps):
    with pytest.raises(ParameterError, match="no k-factors for Mg_Ka, Fe_Ka"):
        ps.quantify_clusters({"O_Ka": 1, "Si_Ka": 1, "Ca_Ka": 1})
    with pytest.raises(ParameterError, match="3 k-factors for 2 lines"):
        ps.cluster_quantification(0, ["O_Ka", "Si_Ka"], [1, 2, 3])


def test_compositions_of_pixels_have_the_originals_form(ps):
    table = ps.cluster_quantification(1, ["O_Ka", "Si_Ka"], [2.0, 1.0])
    assert list(table.columns) == ["O", "Si"]
    rows, columns = np.nonzero(ps.label_map.to_numpy() == 1)
    assert table.index.tolist() == list(zip(rows, columns, strict=True))
    counted = (table != 0).all(axis=1)
    np.testing.assert_allclose(table[counted].sum(axis=1), 100)
    by_name = ps.cluster_quantification(1, ["O_Ka", "Si_Ka"], K, "weight")
    assert not np.allclose(by_name, table)


def test_k_ratios_take_the_clusters_share_of_the_live_time(ps):
    lines = ps.cluster_lines(["Si_Ka", "Fe_Ka"], overlaps=False)
    share = (ps.cluster_sizes / ps.labels.size)[:, np.newaxis]
    standards = {
        name: Standard(net=1000.0, live_time_s=10.0, beam_current_na=1.0)
        for name in ("Si_Ka", "Fe_Ka")
    }
    found = ps.cluster_k_ratios(standards, beam_current_na=2.0, live_time_s=50.0)
    expected = lines["net"].to_numpy() / (50.0 * share * 2.0) / 100.0
    np.testing.assert_allclose(found["k_ratio"], expected)
    if ps.dataset.processed.metadata.live_time_s is None:
        with pytest.raises(ParameterError, match="live_time_s"):
            ps.cluster_k_ratios(standards, beam_current_na=2.0)


def test_evidence_finds_what_is_there(made, ps):
    table = ps.element_evidence(LINES)
    assert list(table.index.unique("phase")) == [0, 1, 2, 3]
    assert (table.xs("O_Ka", level="line")["decision"] == "present").any()
    found = ps.element_evidence().index.unique("line")
    assert {"O_Ka", "Si_Ka"} <= set(found)


def test_spectra_weighted_and_above_a_threshold(ps, made):
    plain = ps.cluster_spectra()
    np.testing.assert_array_equal(plain["n_pixels"], ps.cluster_sizes)
    sure = ps.cluster_spectra(threshold=0.999)
    assert int(sure["n_pixels"].sum()) == int((ps.probability > 0.999).sum())
    weighted = ps.cluster_spectra(weighted=True)
    np.testing.assert_allclose(weighted["weight"].sum(), ps.probability.sum(dtype=float))
    with pytest.raises(ParameterError, match="Choose one"):
        ps.cluster_spectra(weighted=True, threshold=0.5)


def test_unmixing_from_an_initial_guess_and_by_the_divergence(ps, counts):
    weights, components = ps.get_unmixed_spectra_profile(initial=[0, 2])
    assert list(components) == ["cpnt_0", "cpnt_1"]
    again, _ = ps.get_unmixed_spectra_profile(initial=components, n_components=2)
    assert again.shape == weights.shape
    weights, components = ps.get_unmixed_spectra_profile(
        n_components=2, normalised=False, loss="kullback-leibler", method_args={"max_iter": 3000}
    )
    kept = components.index > 0.11
    fitted = (weights.to_numpy() @ components.to_numpy().T)[:, kept]
    # The divergence keeps the total counts of each spectrum.
    np.testing.assert_allclose(
        fitted.sum(axis=1), counts.to_numpy()[:, kept].sum(axis=1), rtol=1e-2
    )
    with pytest.raises(ParameterError, match="needs solver"):
        ps.get_unmixed_spectra_profile(loss="kullback-leibler", method_args={"solver": "cd"})


def test_abundance_maps_of_each_pixel(ps):
    found = ps.unmix_pixels([0, 2], lazy=False)
    _, components = ps.get_unmixed_spectra_profile(n_components=2)
    assert ps.unmix_pixels(components)["abundance"].shape == (*ps.label_map.shape, 2)
    spectra = ps.dataset.processed.to_xarray().to_numpy().astype(float)
    kept = slice(ps.dataset.processed.processing.zeroed_below, None)
    members = found["end_member"].to_numpy()[:, kept].T
    for y, x in ((0, 0), (10, 7), (23, 31)):
        expected, _ = nnls(members, spectra[y, x, kept])
        np.testing.assert_allclose(found["abundance"][y, x], expected, atol=1e-6)


def test_statistics_of_regions_have_the_originals_names(ps):
    table = ps.phase_stats(2, element_peaks=["Fe_Ka", "O_Ka"])
    assert list(table)[:6] == [
        "area (um^2)", "equivalent_diameter (um)", "major_axis_length (um)",
        "minor_axis_length (um)", "min_intensity_Fe_Ka", "mean_intensity_Fe_Ka",
    ]  # fmt: skip
    assert {"perimeter (um)", "aspect_ratio", "orientation_rad", "touches_border"} < set(table)
    regions = measure.label(ps.label_map.to_numpy() == 2, connectivity=2)
    maps = ps.dataset.get_feature_maps(["Fe_Ka"])[:, :, 0]
    found = measure.regionprops_table(
        regions, np.asarray(maps), spacing=(2.0, 2.0),
        properties=["area", "axis_major_length", "intensity_mean", "intensity_max"],
    )  # fmt: skip
    order, expected = np.argsort(table["area (um^2)"]), np.argsort(found["area"])
    for name, oracle in (
        ("area (um^2)", "area"), ("major_axis_length (um)", "axis_major_length"),
    ):  # fmt: skip
        np.testing.assert_allclose(
            np.sort(table[name]), np.sort(found[oracle]), rtol=1e-9, atol=1e-9
        )
    largest, oracle = order.iloc[-1], expected[-1]
    assert table["mean_intensity_Fe_Ka"][largest] == pytest.approx(
        found["intensity_mean"][oracle], rel=1e-5
    )
    assert (ps.phase_stats(2, None, {"threshold": 0.0})["area (um^2)"] > 0).all()
    with pytest.raises(ParameterError, match="can't have denoise"):
        ps.phase_stats(2, binary_filter_args={"denoise": 1})


def test_areas_contacts_and_grains(ps):
    table = ps.proportions()
    np.testing.assert_array_equal(table["pixels"], ps.cluster_sizes)
    assert list(table["name"]) == [f"cluster_{k}" for k in range(4)]
    soft = ps.proportions(soft=True)
    assert soft["pixels"].sum() == pytest.approx(ps.labels.size)
    contacts = ps.contacts()
    labels = ps.label_map.to_numpy()
    beside = ((labels[:, :-1] == 0) & (labels[:, 1:] == 1)).sum()
    beside += ((labels[:, :-1] == 1) & (labels[:, 1:] == 0)).sum()
    below = ((labels[:-1] == 0) & (labels[1:] == 1)).sum()
    below += ((labels[:-1] == 1) & (labels[1:] == 0)).sum()
    assert int(contacts["edges"].sel(phase=0, neighbour=1)) == beside + below
    share = contacts["share"].sel(phase=0, neighbour=1)
    edges = contacts["edges"].sel(phase=0).sum()
    error = contacts["share_error"].sel(phase=0, neighbour=1)
    assert float(error) == pytest.approx(float(np.sqrt(share * (1 - share) / edges)))
    regions = ps.region_statistics(["Si_Ka"])
    assert {"phase", "Si_Ka_mean", "perimeter_um"} <= set(regions)
    assert ps.grain_sizes(bins=5)["number"].sum() == len(regions)


def test_soft_proportions_of_a_mixture_are_sums_of_probabilities(made):
    source = segmenter(SEMDataset, made)
    mixture = PixelSegmenter(source.latent, source.dataset, "GaussianMixture", {"n_components": 3})
    found = mixture.proportions(soft=True)
    np.testing.assert_allclose(
        found["pixels"][:3], mixture.prob_map.sum(axis=0, dtype=float), rtol=1e-5
    )


def test_maps_without_spectra_have_areas_but_no_composition(images):
    stats = images.phase_stats(0)
    assert {"mean_intensity_Fe", "max_intensity_Si"} < set(stats)
    assert stats["area (um^2)"].sum() == pytest.approx((images.labels == 0).sum())
    assert images.proportions()["area_um2"].sum() == pytest.approx(24)
    assert images.contacts()["length"].attrs["units"] == "µm"
    with pytest.raises(ParameterError, match="no map of Mg; there are: Fe, Si"):
        images.phase_stats(0, ["Mg"])
    for call in (
        images.cluster_spectra, images.cluster_lines, images.element_evidence,
        lambda: images.cluster_spectra(weighted=True), lambda: images.quantify_clusters({"Fe": 1}),
        lambda: images.cluster_quantification(0, ["Fe_Ka", "Si_Ka"], [1, 1]),
        lambda: images.cluster_k_ratios({}, beam_current_na=1), lambda: images.unmix_pixels([0]),
    ):  # fmt: skip
        with pytest.raises(NoSpectraError, match="consists of images"):
            call()


def test_a_cluster_without_pixels_is_named(made):
    ps = segmenter(SEMDataset, made)
    ps.relabel_pixels(np.flatnonzero(ps.labels == 3), -1)
    with pytest.raises(EmptyMapError, match="Cluster 3 has no pixels"):
        ps.phase_stats(3)
    with pytest.raises(EmptyMapError, match="Cluster 3 has no pixels"):
        ps.unmix_pixels([0, 3])
    assert ps.proportions().loc[3, "pixels"] == 0
    assert ps.cluster_lines()["phase"].values.tolist() == [0, 1, 2]
