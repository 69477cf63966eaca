from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import ndimage, optimize, spatial, stats

from sigma_scale import xray
from sigma_scale.errors import EmptyMapError, ParameterError, SigmaScaleError
from sigma_scale.synthetic import DEFAULT_MINERALS, ZIRCON, Mineral, SyntheticMap, synthetic_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.synthetic.source import SyntheticSource


def whole(source: SyntheticSource) -> NDArray[np.unsignedinteger[Any]]:
    """All counts of a small map as a dense array, put together block by block."""
    rows, columns = source.shape[:2]
    height, width = source.chunk_shape
    return np.concatenate(
        [
            np.concatenate(
                [source.read_block(i, j).to_dense() for j in range(-(-columns // width))], axis=1
            )
            for i in range(-(-rows // height))
        ]
    )


@pytest.fixture(scope="module")
def rock() -> SyntheticMap:
    return synthetic_map((256, 256), seed=3, rare_share=0.01)


@pytest.fixture(scope="module")
def counts(rock: SyntheticMap) -> NDArray[np.unsignedinteger[Any]]:
    return whole(rock.image.source)


# ---------------------------------------------------------------- the same everywhere


def test_equal_seeds_give_equal_maps_and_others_do_not() -> None:
    maps = [synthetic_map((70, 90), seed=seed) for seed in (5, 5, 6)]
    values = [
        (whole(item.image.source), item.labels.values, item.image.images["navigation"].values)
        for item in maps
    ]
    for first, second, other in zip(*values, strict=True):
        np.testing.assert_array_equal(first, second)
        assert (first != other).any()


@pytest.mark.parametrize("chunk_shape", [(64, 32), (50, 70), (300, 300)])
def test_blocks_of_any_size_hold_the_same_counts(chunk_shape: tuple[int, int]) -> None:
    source = synthetic_map((140, 150), seed=1).image.source
    np.testing.assert_array_equal(whole(source), whole(replace(source, chunk_shape=chunk_shape)))


def test_a_larger_map_begins_with_the_smaller_one() -> None:
    options: dict[str, Any] = {"seed": 2, "rare_share": 0.02, "channels": 400}
    small, large = synthetic_map((100, 130), **options), synthetic_map((300, 200), **options)
    np.testing.assert_array_equal(whole(small.image.source), whole(large.image.source)[:100, :130])
    np.testing.assert_array_equal(small.labels, large.labels[:100, :130])
    np.testing.assert_array_equal(
        small.image.images["navigation"], large.image.images["navigation"][:100, :130]
    )


def test_a_block_far_away_is_made_alone() -> None:
    big = synthetic_map((200_000, 200_000))
    block = big.image.source.read_block(1500, 1562)
    assert block.shape == (128, 64, 1024)
    window = big.labels[192_000:192_128, 199_936:]
    expected = big.spectra.values.sum(axis=1)[window.values].sum()
    assert int(block.counts.sum()) == pytest.approx(expected, abs=6 * np.sqrt(expected))


def test_labels_and_images_do_not_depend_on_how_they_are_cut() -> None:
    rock = synthetic_map((1100, 1050), rare_share=0.01)
    labels = rock.labels.values  # four chunks
    np.testing.assert_array_equal(
        rock.labels[1000:1060, 1000:1049].values, labels[1000:1060, 1000:1049]
    )
    grains = rock.image.source.grains
    np.testing.assert_array_equal(grains.labels((1013, 517), (40, 30)), labels[1013:1053, 517:547])


def test_a_source_can_be_pickled_and_named() -> None:
    source = synthetic_map((64, 64)).image.source
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301
    np.testing.assert_array_equal(whole(copy), whole(source))
    tokens = [
        synthetic_map((64, 64), **options).image.source.__dask_tokenize__()
        for options in ({}, {}, {"seed": 1}, {"counts_per_pixel": 61.0}, {"grain_size": 41.0})
    ]
    assert tokens[0] == tokens[1]
    assert len({str(token) for token in tokens}) == 4


# ---------------------------------------------------------------- grains


def grain_numbers(size: int, grain_size: float) -> NDArray[np.int32]:
    """Labels where nearly every grain has a number of its own."""
    rock = synthetic_map((size, size), grain_size=grain_size, rare_share=0.0)
    return replace(rock.image.source.grains, n_phases=1_000_000).labels((0, 0), (size, size))


@pytest.mark.parametrize("grain_size", [13.5, 40.0])
def test_grains_are_as_large_as_asked(grain_size: float) -> None:
    size = round(25 * grain_size)
    labels = grain_numbers(size, grain_size)
    inner = np.setdiff1d(labels, [labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    areas = np.bincount(np.unique(labels, return_inverse=True)[1].ravel())
    inner_areas = areas[np.isin(np.unique(labels), inner)]
    assert inner_areas.mean() == pytest.approx(grain_size**2, rel=0.06)
    assert 0.2 < inner_areas.std() / inner_areas.mean() < 0.6


@pytest.mark.parametrize(("grain_size", "origin"), [(40.0, (0, 0)), (7.3, (1000, 333))])
def test_a_pixel_belongs_to_the_nearest_grain(grain_size: float, origin: tuple[int, int]) -> None:
    from sigma_scale.synthetic.kernels import _place_key, _uniform
    from sigma_scale.synthetic.source import _GRAINS, _key

    rock = synthetic_map((8, 8), grain_size=grain_size, rare_share=0.0, seed=9)
    grains, size = rock.image.source.grains, 150
    cells = [
        (i, j)
        for i in range(int(origin[0] / grain_size) - 6, int((origin[0] + size) / grain_size) + 7)
        for j in range(int(origin[1] / grain_size) - 6, int((origin[1] + size) / grain_size) + 7)
    ]
    keys = [np.uint64(_place_key(_key(9, _GRAINS), i, j)) for i, j in cells]
    draws = np.array([[_uniform(key, np.uint64(n)) for n in range(3)] for key in keys])
    tree = spatial.KDTree((np.array(cells) + draws[:, :2]) * grain_size)
    pixels = np.stack(np.mgrid[:size, :size], axis=-1) + np.array(origin)
    nearest = tree.query(pixels)[1]
    expected = (draws[nearest, 2] * grains.n_phases).astype(int)
    np.testing.assert_array_equal(grains.labels(origin, (size, size)), expected)


def test_grains_are_whole_and_convex() -> None:
    labels = grain_numbers(400, 40.0)
    for number in np.unique(labels)[::7]:
        mask = labels == number
        assert ndimage.label(mask)[1] == 1
        # each row of a convex region is one run
        starts = np.diff(np.pad(mask, ((0, 0), (1, 0))).astype(np.int8), axis=1) == 1
        assert starts.sum(axis=1).max() == 1


def test_phases_share_the_grains_equally() -> None:
    labels = synthetic_map((1500, 1500), grain_size=10.0, rare_share=0.0).labels.values
    shares = np.bincount(labels.ravel(), minlength=10) / labels.size
    # 22,500 grains, areas vary: one phase's share has a standard deviation of about 0.0022
    assert np.abs(shares - 0.1).max() < 0.009
    assert labels.dtype == np.int32


@pytest.mark.parametrize(
    ("share", "size", "tolerance"), [(0.0005, 5000, 0.08), (0.01, 2000, 0.05), (0.5, 600, 0.03)]
)
def test_the_rare_phase_has_its_share(share: float, size: int, tolerance: float) -> None:
    rock = synthetic_map((size, size), rare_share=share, seed=4)
    assert rock.phases[-1] == "zircon"
    measured = float((rock.labels == len(rock.phases) - 1).mean())
    assert measured == pytest.approx(share, rel=tolerance)


def test_every_place_is_as_likely_to_be_rare() -> None:
    grains = synthetic_map((8, 8), rare_share=0.05).image.source.grains
    hits = np.zeros((60, 60))
    for seed in range(3000):
        hits += replace(grains, seed=seed).labels((0, 0), (60, 60)) == 10
    share = hits / 3000
    assert share.mean() == pytest.approx(0.05, rel=0.03)
    # neither edges nor the middle are special; neighbours are correlated, so look at quarters
    quarters = share.reshape(4, 15, 4, 15).mean(axis=(1, 3))
    assert quarters.min() > 0.04
    assert quarters.max() < 0.06


def test_inclusions_are_discs_of_six_pixels_radius() -> None:
    rock = synthetic_map((2000, 2000), rare_share=0.002)
    regions, number = ndimage.label(rock.labels.values == 10)
    boxes = ndimage.find_objects(regions)
    inside = [box for box in boxes if all(piece.start > 0 and piece.stop < 2000 for piece in box)]
    assert number > 40
    for box in inside:
        assert {piece.stop - piece.start for piece in box} <= {11, 12, 13}
        area = np.count_nonzero(regions[box])
        assert area == pytest.approx(np.pi * 36, abs=12)


def test_without_a_rare_share_there_is_no_rare_phase() -> None:
    rock = synthetic_map((300, 300), rare_share=0.0)
    assert rock.phases == tuple(item.name for item in DEFAULT_MINERALS)
    assert int(rock.labels.max()) < 10


# ---------------------------------------------------------------- counts


def test_totals_are_poisson(rock: SyntheticMap, counts: NDArray[Any]) -> None:
    totals, labels = counts.sum(axis=2), rock.labels.values
    for phase, mean in enumerate(rock.spectra.values.sum(axis=1)):
        mine = totals[labels == phase]
        edges = stats.poisson.ppf(np.linspace(0, 1, 12)[1:-1], mean)
        cumulated = np.concatenate([[0], stats.poisson.cdf(edges, mean), [1]])
        observed = np.bincount(np.searchsorted(edges, mine), minlength=11)
        p = stats.chisquare(observed, np.diff(cumulated) * mine.size).pvalue
        assert p > 1e-4


def test_spectra_of_phases_are_as_expected(rock: SyntheticMap, counts: NDArray[Any]) -> None:
    labels = rock.labels.values
    for phase in range(len(rock.phases)):
        mine = counts[labels == phase]
        expected = rock.spectra.values[phase] * mine.shape[0]
        enough = expected > 5
        chi2 = ((mine.sum(axis=0) - expected)[enough] ** 2 / expected[enough]).sum()
        assert stats.chi2.sf(chi2, enough.sum()) > 1e-4
        assert mine[:, ~enough].sum() == pytest.approx(
            expected[~enough].sum(), abs=5 * np.sqrt(expected[~enough].sum()) + 5
        )


def test_channels_scatter_as_poisson_and_independently(
    rock: SyntheticMap, counts: NDArray[Any]
) -> None:
    quartz = counts[rock.labels.values == 0].astype(float)
    strong = np.argsort(quartz.mean(axis=0))[-40:]
    ratio = quartz[:, strong].var(axis=0) / quartz[:, strong].mean(axis=0)
    np.testing.assert_allclose(ratio, 1.0, atol=6 * np.sqrt(2 / quartz.shape[0]))
    correlation = np.corrcoef(quartz[:, strong].T)[np.triu_indices(40, 1)]
    assert np.abs(correlation).max() < 6 / np.sqrt(quartz.shape[0])
    assert abs(correlation.mean()) < 0.2 / np.sqrt(quartz.shape[0])


def test_the_spectrum_does_not_depend_on_the_total() -> None:
    quartz = (Mineral("quartz", "SiO2"),)
    rock = synthetic_map((256, 256), counts_per_pixel=1.0, minerals=quartz, rare_share=0.0)
    counts = whole(rock.image.source).reshape(-1, 1024)
    for total in (1, 2, 3):
        mine = counts[counts.sum(axis=1) == total].sum(axis=0)
        expected = rock.spectra.values[0] * mine.sum()
        enough = expected > 5
        chi2 = ((mine - expected)[enough] ** 2 / expected[enough]).sum()
        assert stats.chi2.sf(chi2, enough.sum()) > 1e-4


def test_neighbouring_pixels_are_independent(rock: SyntheticMap, counts: NDArray[Any]) -> None:
    mean = rock.spectra.values.sum(axis=1)[rock.labels.values]
    scatter = (counts.sum(axis=2) - mean) / np.sqrt(mean)
    for other in (scatter[1:, :-1], scatter[:-1, 1:], scatter[1:, 1:]):
        here = scatter[:-1, :-1]
        assert abs((here * other).mean()) < 5 / np.sqrt(here.size)


def test_the_mean_is_what_was_asked_for() -> None:
    for asked in (0.05, 25.0, 60.0):
        for zero_peak in (False, True):
            rock = synthetic_map((128, 128), counts_per_pixel=asked, zero_peak=zero_peak)
            totals = rock.spectra.values.sum(axis=1)
            assert totals[:-1].mean() == pytest.approx(asked)
            assert 0.75 * asked < totals.min() < totals.max() < 1.3 * asked
            measured = int(rock.image.source.read_block(0, 0).counts.sum(dtype=np.int64))
            expected = totals[rock.labels.values].sum()
            assert measured == pytest.approx(expected, abs=5 * np.sqrt(expected))


def test_blocks_are_sparse_and_in_order() -> None:
    block = synthetic_map((128, 128), channels=700).image.source.read_block(0, 0)
    matrix = block.to_csr()
    assert (block.counts > 0).all()
    assert block.dtype == np.uint16
    for pixel in range(0, matrix.shape[0], 97):
        channels = matrix.indices[matrix.indptr[pixel] : matrix.indptr[pixel + 1]]
        assert (np.diff(channels) > 0).all()
        assert channels.size == 0 or channels[-1] < 700


def test_many_counts_do_not_overflow() -> None:
    one_line = (Mineral("carbon", "C"),)
    rock = synthetic_map(
        (5, 4), counts_per_pixel=6e4, channels=3, scale_kev=0.3, minerals=one_line, rare_share=0.1
    )
    source = rock.image.source
    assert source.dtype == np.uint32
    np.testing.assert_allclose(
        whole(source).sum(axis=2), rock.spectra.values.sum(axis=1)[rock.labels.values], rtol=0.03
    )
    assert synthetic_map((4, 4), counts_per_pixel=4e4).image.source.dtype == np.uint16


@pytest.mark.parametrize("channels", [2, 63, 64, 65, 300, 5000])
def test_any_number_of_channels(channels: int) -> None:
    rock = synthetic_map((20, 20), channels=channels, scale_kev=10.0 / channels, offset_kev=0.1)
    total = whole(rock.image.source).sum(axis=(0, 1))
    expected = rock.spectra.values[rock.labels.values.ravel()].sum(axis=0)
    assert total.shape == (channels,)
    assert total.sum() == pytest.approx(expected.sum(), abs=5 * np.sqrt(expected.sum()))
    assert (total[expected < 1e-12] == 0).all()


# ---------------------------------------------------------------- spectra


@pytest.mark.parametrize("resolution", [125.0, 140.0])
@pytest.mark.parametrize(
    ("mineral", "line"),
    [("quartz", "O_Ka"), ("albite", "Na_Ka"), ("ilmenite", "Ti_Ka"), ("magnetite", "Fe_Ka")],
)
def test_peaks_have_their_place_and_width(mineral: str, line: str, resolution: float) -> None:
    rock = synthetic_map((8, 8), resolution_mn_ka_ev=resolution)
    spectrum = rock.spectra.sel(phase=mineral)
    energy = xray.line_energy(line)
    fwhm = np.sqrt(2500 * (energy - 5.8987) + resolution**2) / 1000
    near = spectrum.sel(energy=slice(energy - fwhm, energy + fwhm))

    def model(e: Any, *parameters: float) -> Any:
        area, centre, width, level, slope = parameters
        peak = area * np.exp(-4 * np.log(2) * ((e - centre) / width) ** 2)
        return peak + level + slope * (e - energy)

    start = [float(near.max()), energy, fwhm, 0.0, 0.0]
    found, _ = optimize.curve_fit(model, near.energy.values, near.values, p0=start)
    assert found[1] == pytest.approx(energy, abs=0.003)
    assert abs(found[2]) == pytest.approx(fwhm, rel=0.03)


def test_each_phase_shows_its_elements_and_only_those() -> None:
    rock = synthetic_map((8, 8))
    assert rock.minerals == (*DEFAULT_MINERALS, ZIRCON)
    best = {"Si": "Si_Ka", "Na": "Na_Ka", "Mg": "Mg_Ka", "Al": "Al_Ka", "K": "K_Ka", "Ti": "Ti_Ka"}
    for mineral in rock.minerals:
        spectrum = rock.spectra.sel(phase=mineral.name)
        for symbol, line in best.items():
            energy = xray.line_energy(line)
            middle = float(spectrum.sel(energy=energy, method="nearest"))
            sides = [float(spectrum.sel(energy=energy + d, method="nearest")) for d in (-0.1, 0.1)]
            stands_out = middle > 1.5 * np.mean(sides)
            near = {"Si": {"Zr", "P"}, "K": {"Ca"}}.get(symbol, set())
            if not near & set(mineral.atoms):
                assert stands_out == (symbol in mineral.atoms), (mineral, symbol)


def test_share_of_continuum() -> None:
    shares = []
    for share in (0.2, 0.4):
        rock = synthetic_map((8, 8), continuum_share=share)
        quartz = rock.spectra.sel(phase="quartz")
        # nothing but continuum above the silicon lines
        shares.append(float(quartz.sel(energy=slice(2.2, None)).sum() / quartz.sum()))
    assert shares[1] == pytest.approx(2 * shares[0], rel=1e-6)
    assert 0.05 < shares[1] < 0.4
    bare = synthetic_map((8, 8), continuum_share=1.0).spectra
    np.testing.assert_allclose(
        bare / bare.sum("energy"), bare[[0] * 11].values / bare[0].sum().item()
    )


def test_zero_peak() -> None:
    plain, rock = synthetic_map((8, 8)), synthetic_map((8, 8), zero_peak=True)
    assert plain.image.energy.offset_kev == 0.0
    assert rock.image.energy.offset_kev == -0.2
    for spectrum in rock.spectra:
        zero = spectrum.sel(energy=slice(-0.1, 0.1)).sum() / spectrum.sum()
        assert float(zero) == pytest.approx(0.25, abs=0.01)
        assert abs(float(spectrum.idxmax("energy"))) < 0.006
    low = plain.spectra.sel(energy=slice(0, 0.1))
    assert float(low.sum() / plain.spectra.sum()) < 1e-3


def test_the_sum_spectrum_shows_what_is_in_the_map(
    rock: SyntheticMap, counts: NDArray[Any]
) -> None:
    lines = xray.suggest_lines(
        counts.sum(axis=(0, 1)), rock.image.energy.values, beam_energy_kev=20.0
    )
    abundant = {
        "O_Ka",
        "Na_Ka",
        "Mg_Ka",
        "Al_Ka",
        "Si_Ka",
        "P_Ka",
        "K_Ka",
        "Ca_Ka",
        "Ti_Ka",
        "Fe_Ka",
    }
    assert abundant <= set(lines)
    assert set(lines) <= abundant | {"C_Ka", "F_Ka", "Zr_La"}


def test_metadata_say_what_was_simulated(rock: SyntheticMap) -> None:
    metadata = rock.image.metadata
    assert metadata.instrument == "SEM"
    assert metadata.beam_energy_kev == 20.0
    assert metadata.resolution_mn_ka_ev == 130.0
    elements = ["C", "O", "F", "Na", "Mg", "Al", "Si", "P", "K", "Ca", "Ti", "Fe", "Zr"]
    assert metadata.elements == tuple(elements)
    assert metadata.lines == (*(f"{symbol}_Ka" for symbol in elements[:-1]), "Zr_La")
    assert rock.labels.attrs["phases"] == list(rock.phases)
    assert rock.labels.x.attrs["units"] == "µm"
    assert rock.image.shape == (256, 256, 1024)


# ---------------------------------------------------------------- image


def test_the_image_is_brighter_where_atoms_are_heavier(rock: SyntheticMap) -> None:
    image, labels = rock.image.images["navigation"], rock.labels.values
    assert image.dtype == np.uint16
    values = image.values.astype(float)
    for phase, mineral in enumerate(rock.minerals):
        mine = values[labels == phase]
        error = 800 / np.sqrt(mine.size)
        assert mine.mean() == pytest.approx(1000 * mineral.mean_atomic_number, abs=5 * error)
        assert mine.std() == pytest.approx(800, rel=5 / np.sqrt(2 * mine.size))


def test_images_and_labels_are_lazy() -> None:
    big = synthetic_map((200_000, 200_000))
    for array in (big.labels, big.image.images["navigation"]):
        assert array.chunks is not None
        assert max(array.chunks[0]) * max(array.chunks[1]) <= 2**20
        assert array[-3:, -2:].compute().shape == (3, 2)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"channels": 1}, "channels"),
        ({"channels": 70_000}, "channels"),
        ({"counts_per_pixel": 0.0}, "counts_per_pixel"),
        ({"counts_per_pixel": float("nan")}, "counts_per_pixel"),
        ({"counts_per_pixel": 1e6}, "counts_per_pixel"),
        ({"grain_size": 0.5}, "grain_size"),
        ({"rare_share": -0.1}, "rare_share"),
        ({"rare_share": 0.6}, "rare_share"),
        ({"continuum_share": 1.1}, "continuum_share"),
        ({"seed": -1}, "seed"),
        ({"pixel_size_um": 0.0}, "pixel_size_um"),
        ({"beam_energy_kev": 0.0}, "beam_energy_kev"),
        ({"resolution_mn_ka_ev": -1.0}, "resolution_mn_ka_ev"),
        ({"scale_kev": 0.0}, "width"),
        ({"offset_kev": -50.0}, "energy axis"),
        ({"offset_kev": 50.0}, "energy axis"),
        ({"minerals": ()}, "at least one mineral"),
        ({"minerals": (ZIRCON,)}, "its own name"),
        ({"shape": (4,)}, "shape"),
    ],
)
def test_bad_parameters_are_named(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ParameterError, match=name):
        synthetic_map(**{"shape": (8, 8), **options})


@pytest.mark.parametrize("shape", [(0, 8), (8, 0), (-1, 8)])
def test_an_empty_map_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(EmptyMapError, match="rows and columns") as caught:
        synthetic_map(shape)
    assert isinstance(caught.value, SigmaScaleError)


def test_importing_synthetic_compiles_nothing() -> None:
    code = "import sys, sigma_scale.synthetic; assert not {'numba', 'exspy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
