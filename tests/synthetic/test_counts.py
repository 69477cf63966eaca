"""Counts of synthetic maps: Poisson around the spectra of their phases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from sigma_scale.synthetic import Mineral, SyntheticMap, synthetic_map

if TYPE_CHECKING:
    from numpy.typing import NDArray


from whole_maps import whole


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
