"""Line intensities against eXSpy on eager signals and plain NumPy, and how the counts are read."""

from collections import Counter
from dataclasses import dataclass, field

import dask
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sigma_scale import preprocess
from sigma_scale.compute import run
from sigma_scale.engines import engine_states
from sigma_scale.errors import (
    EnergyRangeError,
    EngineUnavailableError,
    ParameterError,
    UnknownLineError,
)
from sigma_scale.features import feature_pass, line_channels, line_intensity
from sigma_scale.spectra import ArraySource, EnergyAxis, MapMetadata, SpectrumImage

AXIS = EnergyAxis(450, 0.01, -0.1)
LINES = ["C_Ka", "O_Ka", "Al_Ka", "Si_Ka", "S_Ka", "Pb_Ma", "Ca_Ka"]


def make_counts(shape=(12, 18), channels=450, seed=3):
    return np.random.default_rng(seed).poisson(0.3, (*shape, channels)).astype(np.uint8)


def make_image(counts, axis=AXIS, resolution=130.0, chunk=(128, 128)):
    metadata = MapMetadata(resolution_mn_ka_ev=resolution)
    return SpectrumImage(ArraySource(counts, chunk), axis, metadata=metadata)


def exspy_signal(counts, axis=AXIS, resolution=130.0):
    exspy = pytest.importorskip("exspy")
    signal = exspy.signals.EDSSEMSpectrum(counts.astype(np.uint64))
    energy = signal.axes_manager[-1]
    energy.name, energy.units = "Energy", "keV"
    energy.scale, energy.offset = axis.scale_kev, axis.offset_kev
    signal.set_microscope_parameters(beam_energy=30.0, energy_resolution_MnKa=resolution)
    return signal


def exspy_maps(signal, lines, width=2.0):
    found = signal.get_lines_intensity(lines, integration_windows=width, only_one=False)
    maps = {str(one.metadata.Sample.xray_lines[0]): one.data for one in found}
    return np.stack([maps[line] for line in lines], axis=-1)


@pytest.mark.parametrize("width", [0.4, 1.0, 2.0, 3.3])
@pytest.mark.parametrize("resolution", [125.0, 130.0, 143.7])
def test_maps_equal_exspy(width, resolution):
    counts = make_counts()
    maps = line_intensity(make_image(counts, resolution=resolution), LINES, window_width=width)
    assert maps.dims == ("y", "x", "line")
    assert maps["line"].values.tolist() == LINES
    expected = exspy_maps(exspy_signal(counts, resolution=resolution), LINES, width)
    np.testing.assert_array_equal(maps, expected)


@settings(max_examples=15)
@given(
    scale=st.floats(0.0021, 0.03),
    offset=st.floats(-0.5, 0.2),
    width=st.floats(0.7, 4.0),
    seed=st.integers(0, 99),
)
def test_maps_equal_exspy_for_any_axis(scale, offset, width, seed):
    axis = EnergyAxis(int(4.5 / scale), scale, offset)
    counts = make_counts((2, 3), axis.size, seed)
    maps = line_intensity(make_image(counts, axis), LINES, window_width=width)
    expected = exspy_maps(exspy_signal(counts, axis), LINES, width)
    np.testing.assert_array_equal(maps, expected)


@pytest.mark.parametrize(
    ("axis", "line"),
    [
        (EnergyAxis(200, 0.01, 0.50), "O_Ka"),  # begins inside the window of 0.525 keV
        (EnergyAxis(149, 0.01, 0.01), "Al_Ka"),  # ends on the line at 1.487 keV
        (EnergyAxis(152, 0.01, 0.01), "Al_Ka"),  # ends inside the window
    ],
)
def test_windows_cut_by_the_ends_of_the_axis_sum_what_is_there(axis, line):
    counts = make_counts((3, 4), axis.size)
    image = make_image(counts, axis)
    (cut,) = line_channels(image, [line])
    (whole,) = line_channels(make_image(make_counts((1, 1), 600), EnergyAxis(600, 0.01)), [line])
    assert 0 < len(cut) < len(whole) - 1
    assert cut.start == 0 or cut.stop == axis.size
    maps = line_intensity(image, [line])
    np.testing.assert_array_equal(maps, exspy_maps(exspy_signal(counts, axis), [line]))
    np.testing.assert_array_equal(maps[..., 0], counts[..., cut.start : cut.stop].sum(axis=-1))


@pytest.mark.parametrize(("size", "there"), [(142, False), (143, True)])
def test_a_window_needs_one_channel_on_the_axis(size, there):
    # Al Ka at 1.4865 keV is 0.0768 keV wide on either side: it begins at 1.4097 keV, channel 141.
    axis = EnergyAxis(size - 1, 0.01)
    counts = make_counts((2, 2), axis.size)
    if not there:
        with pytest.raises(EnergyRangeError, match="Al_Ka"):
            line_intensity(make_image(counts, axis), ["Al_Ka"])
    else:
        maps = line_intensity(make_image(counts, axis), ["Al_Ka"])
        np.testing.assert_array_equal(maps[..., 0], counts[..., 141])


def test_overlapping_windows_share_their_counts():
    counts = make_counts((4, 5))
    image = make_image(counts)
    sulfur, lead = line_channels(image, ["S_Ka", "Pb_Ma"])
    shared = set(sulfur) & set(lead)
    assert shared
    only = np.zeros_like(counts)
    only[:, :, sorted(shared)] = 1
    maps = line_intensity(make_image(only), ["S_Ka", "Pb_Ma"])
    np.testing.assert_array_equal(maps, np.full((4, 5, 2), len(shared)))


@pytest.mark.parametrize("size", [(2, 3), (6, 1), (1, 12), (18, 12)])
def test_binned_maps_equal_hyperspy_rebinned(size):
    counts = make_counts()
    maps = line_intensity(preprocess.rebin(make_image(counts), size), LINES)
    rebinned = exspy_signal(counts).rebin(scale=(*size, 1))
    np.testing.assert_array_equal(maps, exspy_maps(rebinned, LINES))


def test_normalised_shares_equal_numpy_and_empty_pixels_are_zeros():
    counts = make_counts()
    counts[2, 3] = 0
    maps = line_intensity(preprocess.normalise(make_image(counts)), LINES)
    total = counts.sum(axis=-1, dtype=float)
    total[2, 3] = 1
    assert maps.dtype == np.float32
    raw = exspy_maps(exspy_signal(counts), LINES)
    np.testing.assert_allclose(maps, raw / total[..., None], rtol=1e-7)
    assert (maps.values[2, 3] == 0).all()


def test_counts_of_the_total_are_those_divided_by():
    counts = make_counts()
    image = preprocess.remove_first_peak(make_image(counts), 0.2)
    both = preprocess.normalise(image)
    first = np.argmin(np.abs(AXIS.values - 0.2))
    kept = counts[:, :, first:].sum(axis=-1)
    np.testing.assert_array_equal(feature_pass(image, LINES)["total"], kept)
    np.testing.assert_array_equal(feature_pass(both, LINES)["total"], kept)
    other_order = preprocess.remove_first_peak(preprocess.normalise(make_image(counts)), 0.2)
    np.testing.assert_array_equal(feature_pass(other_order, LINES)["total"], counts.sum(axis=-1))


def test_a_window_is_cut_by_the_removed_peak():
    counts = make_counts((3, 4))
    removed = counts.copy()
    removed[:, :, AXIS.values < 1.4849] = 0  # the centre of channel 158.5 is 1.485 keV
    image = preprocess.remove_first_peak(make_image(counts), 1.4851)
    assert line_channels(image, ["Al_Ka"])[0].start == 159
    expected = line_intensity(make_image(removed), ["Al_Ka", "Si_Ka"]).values
    whole = line_intensity(make_image(counts), ["Al_Ka"]).values
    assert (expected[..., :1] < whole).any()
    np.testing.assert_array_equal(line_intensity(image, ["Al_Ka", "Si_Ka"]), expected)
    spectrum = feature_pass(image, ["Si_Ka"])["sum_spectrum"]
    np.testing.assert_array_equal(spectrum, removed.sum(axis=(0, 1)))


def test_a_window_that_was_removed_is_an_error():
    image = preprocess.remove_first_peak(make_image(make_counts((2, 2))), 1.0)
    with pytest.raises(EnergyRangeError, match="O_Ka"):
        feature_pass(image, ["O_Ka"])
    assert line_channels(image, ["Al_Ka"])


@pytest.mark.parametrize(
    ("lines", "error", "says"),
    [
        (["Xx_Ka"], UnknownLineError, "Xx"),
        (["Fe_Kz"], UnknownLineError, "Fe_Kz"),
        (["Fe"], UnknownLineError, "Fe"),
        (["Si_Ka", "Fe_Ka"], EnergyRangeError, "Fe_Ka"),
        (["Si_Ka", "Al_Ka", "Si_Ka"], ParameterError, "Si_Ka"),
        ([], ParameterError, "no X-ray lines"),
        ("Si_Ka", ParameterError, "list"),
    ],
)
def test_bad_lines_are_named(lines, error, says):
    image = make_image(make_counts((2, 2)))
    for function in (line_channels, feature_pass, line_intensity):
        with pytest.raises(error, match=says):
            function(image, lines)


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_widths_are_refused(width):
    with pytest.raises(ParameterError, match="window_width"):
        line_intensity(make_image(make_counts((2, 2))), ["Si_Ka"], window_width=width)


def test_other_sequences_of_names_serve():
    image = make_image(make_counts((2, 2)))
    expected = line_intensity(image, ["Si_Ka", "Al_Ka"]).values
    for names in [("Si_Ka", "Al_Ka"), np.array(["Si_Ka", "Al_Ka"])]:
        maps = line_intensity(image, names)
        np.testing.assert_array_equal(maps, expected)
        assert maps.attrs["recipe"]["lines"] == ["Si_Ka", "Al_Ka"]


def test_names_and_recipe_are_on_record():
    image = preprocess.rebin(make_image(make_counts((4, 4)), resolution=127.0), (2, 4))
    maps = line_intensity(preprocess.normalise(image), ["Si_Ka"], window_width=1.5)
    recipe = maps.attrs["recipe"]
    assert recipe["function"] == "line_intensity"
    assert recipe["window_width_fwhm"] == 1.5
    assert recipe["resolution_mn_ka_ev"] == 127.0
    assert recipe["bin_yx"] == [4, 2]
    assert recipe["normalised_from_channel"] == 0
    assert maps.attrs["units"] == "share"
    assert line_intensity(image, ["Si_Ka"]).attrs["units"] == "counts"


@dataclass(frozen=True, eq=False)
class CountedSource(ArraySource):
    """Remembers which blocks were read."""

    reads: list = field(default_factory=list)

    def read_block(self, row, column, scratch=None):
        self.reads.append((row, column))
        return super().read_block(row, column, scratch)


@pytest.fixture
def counted():
    counts = make_counts((560, 300), 20)
    return CountedSource(counts, (64, 50)), EnergyAxis(20, 0.1)


@pytest.mark.parametrize("size", [(1, 1), (2, 4), (5, 7)])
@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("how", ["compute", "at once", "run"])
@pytest.mark.filterwarnings("ignore::sigma_scale.errors.SigmaScaleWarning")
def test_all_results_come_from_one_pass(counted, size, normalised, how):
    source, axis = counted
    image = preprocess.rebin(SpectrumImage(source, axis), size)
    image = preprocess.normalise(image) if normalised else image
    lazy = feature_pass(image, ["O_Ka", "Si_Ka"])
    assert source.reads == [], "nothing may be read before it is asked for"
    if how == "compute":
        result = lazy.compute()
    elif how == "at once":
        result = feature_pass(image, ["O_Ka", "Si_Ka"], lazy=False)
    else:
        (result,) = run(lazy, description="")
    reads = Counter(source.reads)
    everything = Counter({(row, column): 1 for row in range(9) for column in range(6)})
    if size == (5, 7):  # bins and blocks meet so seldom that blocks at borders may be shared
        assert set(reads) == set(everything)
    else:
        assert reads == everything
    spectrum = source.data.sum(axis=(0, 1), dtype=np.uint64)
    np.testing.assert_array_equal(result["sum_spectrum"], spectrum)


def test_one_map_reads_no_more_than_a_pass(counted):
    source, axis = counted
    line_intensity(SpectrumImage(source, axis), ["O_Ka", "Si_Ka", "Ca_Ka"][:2]).compute()
    assert len(source.reads) == len(set(source.reads)) == 54


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    chunk=st.tuples(st.integers(1, 17), st.integers(1, 17)),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    flags=st.tuples(st.booleans(), st.booleans()),
    seed=st.integers(0, 99),
)
def test_results_do_not_depend_on_chunks(shape, chunk, size, flags, seed):
    normalised, at_once = flags
    size = (min(size[0], shape[1]), min(size[1], shape[0]))
    counts = np.random.default_rng(seed).poisson(0.05, (*shape, 60)).astype(np.uint16)
    results = []
    for chunk_shape in (chunk, shape):
        image = make_image(counts, EnergyAxis(60, 0.04, -0.1), chunk=chunk_shape)
        image = image.with_processing(
            bin_factors=size[::-1], total_from=2 if normalised else None, zeroed_below=3
        )
        lazy = not (at_once and chunk_shape == chunk)
        results.append(feature_pass(image, ["O_Ka", "Al_Ka"], lazy=lazy).compute())
    for name in ("line_intensity", "total", "sum_spectrum"):
        assert results[0][name].dtype == results[1][name].dtype
        np.testing.assert_array_equal(results[0][name], results[1][name])


def test_schedulers_agree(counted):
    source, axis = counted
    lazy = feature_pass(SpectrumImage(source, axis), ["O_Ka", "Si_Ka"])
    with dask.config.set(scheduler="synchronous"):
        alone = lazy.compute()
    with dask.config.set(scheduler="threads", num_workers=2):
        assert lazy.compute().identical(alone)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.float32])
@pytest.mark.parametrize("normalised", [False, True])
def test_at_once_equals_lazy(dtype, normalised):
    counts = make_counts((300, 270), 60).astype(dtype)
    counts[5, 7] = 0
    image = make_image(counts, EnergyAxis(60, 0.04, -0.1), chunk=(50, 64))
    image = preprocess.rebin(image, (3, 2))
    image = preprocess.normalise(image) if normalised else image
    lazy = feature_pass(image, ["O_Ka", "Al_Ka"])
    at_once = feature_pass(image, ["O_Ka", "Al_Ka"], lazy=False)
    assert all(variable.chunks is None for variable in at_once.variables.values())
    computed = lazy.compute(scheduler="synchronous")
    if dtype is np.float32:  # the sum over all pixels may be added up in another order
        np.testing.assert_allclose(at_once["sum_spectrum"], computed["sum_spectrum"], rtol=1e-12)
        computed, at_once = (d.drop_vars("sum_spectrum") for d in (computed, at_once))
    assert at_once.identical(computed)
    assert {n: v.dtype for n, v in lazy.variables.items() if n in at_once} == {
        n: v.dtype for n, v in at_once.variables.items()
    }


@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    chunk=st.tuples(st.integers(1, 17), st.integers(1, 17)),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_of_a_gpu_equal_those_of_the_processor(gpu_twin, shape, chunk, size, seed):
    counts = np.random.default_rng(seed).poisson(0.05, (*shape, 60)).astype(np.uint16)
    image = make_image(counts, EnergyAxis(60, 0.04, -0.1), chunk=chunk)
    image = image.with_processing(bin_factors=(min(size[1], shape[0]), min(size[0], shape[1])))
    expected = feature_pass(image, ["O_Ka", "Al_Ka"], lazy=False)
    transfers = gpu_twin.transfers
    lazy = feature_pass(image, ["O_Ka", "Al_Ka"], engine="gpu")
    assert lazy.compute().identical(expected)
    assert gpu_twin.transfers > transfers  # it was the GPU's code that ran
    assert feature_pass(image, ["O_Ka", "Al_Ka"], engine="gpu", lazy=False).identical(expected)


def test_a_gpu_adds_floats_as_well(gpu_twin):
    counts = np.random.default_rng(0).gamma(0.1, 2.0, (40, 30, 60)).astype(np.float32)
    image = make_image(counts, EnergyAxis(60, 0.04, -0.1), chunk=(16, 16))
    expected = feature_pass(image, ["O_Ka", "Al_Ka"], lazy=False)
    on_gpu = feature_pass(image, ["O_Ka", "Al_Ka"], engine="gpu", lazy=False)
    for name in ("line_intensity", "total", "sum_spectrum"):
        assert on_gpu[name].dtype == expected[name].dtype
        np.testing.assert_allclose(on_gpu[name], expected[name], rtol=1e-12)


def test_a_gpu_that_is_not_there_is_not_replaced():
    image = make_image(make_counts())
    if engine_states()["gpu"].startswith("usable"):
        pytest.skip("there is a GPU")
    with pytest.raises(EngineUnavailableError, match="The feature pass"):
        feature_pass(image, LINES, engine="gpu")
