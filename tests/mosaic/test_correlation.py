import numpy as np
import pytest
from scipy.ndimage import fourier_shift, gaussian_filter

from sigma_scale.mosaic.correlation import _Correlation, _edges, measure_shift


def texture(shape, seed=0, sigma=2.0):
    rng = np.random.default_rng(seed)
    image = gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return image / image.std()


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.4, -5.25), (-7.6, 6.5)])
def test_shifts_are_found_to_a_tenth_of_a_pixel_at_any_gain(shift):
    whole = texture((200, 200))
    moved = np.fft.ifft2(fourier_shift(np.fft.fft2(whole), [-s for s in shift])).real
    first, second = whole[40:160, 40:80], 3 - 0.2 * -moved[40:160, 40:80]
    found = measure_shift(first, second, (0.0, 0.0), 12)
    assert (found.dy, found.dx) == pytest.approx(shift, abs=0.1)
    assert found.quality > 0.8
    assert found.peak_ratio > 2
    assert found.evidence > 0


@pytest.mark.parametrize("search", [30, 60, 100])
@pytest.mark.parametrize("turned", [False, True])
def test_a_wide_search_finds_what_a_narrow_one_finds(search, turned):
    whole = texture((200, 80))
    first, second = whole[10:160, :40], whole[15:165, 3:43]
    if turned:
        first, second = first.T, second.T
    narrow = measure_shift(first, second, (0.0, 0.0), 12)
    wide = measure_shift(first, second, (0.0, 0.0), search)
    assert (wide.dy, wide.dx) == (narrow.dy, narrow.dx)
    assert wide.quality == pytest.approx(narrow.quality)
    assert wide.peak_ratio > 3
    assert wide.evidence > 0


def test_a_wide_search_of_other_places_gives_no_evidence():
    pictures = [texture((120, 40), seed) for seed in range(40)]
    sure = [
        found.evidence > 0 and found.peak_ratio > 1.5
        for one, other in zip(pictures[::2], pictures[1::2], strict=True)
        for found in [measure_shift(one, other, (0.0, 0.0), 60)]
    ]
    assert sum(sure) <= 2


def test_correlations_are_those_of_the_plain_sums():
    first, second = (_edges(texture((14, 17), seed, 1.0)) for seed in (1, 2))
    second = second[:11, :9]
    rows, columns = np.arange(-6, 9), np.arange(-4, 13)
    found = _Correlation(first, second.shape).with_image(second, rows, columns)
    for i, dy in enumerate(rows):
        for j, dx in enumerate(columns):
            top, bottom = max(dy, 0), min(14, dy + 11)
            left, right = max(dx, 0), min(17, dx + 9)
            a = first[top:bottom, left:right]
            b = second[top - dy : bottom - dy, left - dx : right - dx]
            plain = (a * b.conj()).real.sum() / np.sqrt((abs(a) ** 2).sum() * (abs(b) ** 2).sum())
            assert found[i, j] == pytest.approx(plain, abs=1e-9)


def test_the_covariance_tells_the_direction_that_nothing_is_known_of():
    rng = np.random.default_rng(0)
    stripes = np.tile(texture((1, 200))[:, :], (200, 1))
    first, second = (stripes + 0.3 * rng.standard_normal((200, 200)) for _ in range(2))
    found = measure_shift(first[:, :40], second[:, :40], (0.0, 0.0), 12)
    assert found.covariance[0] > 20 * found.covariance[1]
    assert found.dx == pytest.approx(0, abs=0.3)


def test_noise_and_other_places_give_no_evidence():
    rng = np.random.default_rng(0)
    strips = rng.standard_normal((40, 2, 128, 25))
    sure = [
        found.evidence > 0 and found.peak_ratio > 1.5
        for one, other in strips
        for found in [measure_shift(one, other, (0.0, 0.0), 12)]
    ]
    assert sum(sure) <= 2


@pytest.mark.parametrize(
    "image",
    [np.zeros((30, 30)), np.full((30, 30), np.nan), np.full((30, 30), 7e9), np.zeros((2, 30))],
)
def test_flat_and_tiny_images_have_no_quality(image):
    found = measure_shift(texture((30, 30)), image, (1.0, 2.0), 5)
    assert (found.dy, found.dx, found.quality, found.pixels) == (1.0, 2.0, 0.0, 0)


def test_pixels_that_were_not_measured_do_little_harm():
    whole = texture((140, 80))
    first, second = whole[:120, :40].copy(), whole[5:125, 3:43].copy()
    second[:20] = np.nan
    found = measure_shift(first, second, (0.0, 0.0), 12)
    assert (found.dy, found.dx) == pytest.approx((5, 3), abs=0.2)
