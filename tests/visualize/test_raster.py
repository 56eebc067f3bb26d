import numpy as np
import pytest

from spikejax.visualize import plot_raster


def _spikes(steps: int, neurons: int, rate: float = 0.3) -> np.ndarray:
    return (np.random.default_rng(0).random((steps, neurons)) < rate).astype(np.float32)


def test_every_spike_has_its_dash(render):
    spikes = _spikes(30, 5)
    dashes = render(plot_raster(spikes)).axes[0]
    segments = dashes.collections[0].get_segments()
    drawn = {(int(start[0]), round((start[1] + end[1]) / 2)) for start, end in segments}
    assert drawn == set(zip(*map(np.ndarray.tolist, np.nonzero(spikes)), strict=True))
    assert len(segments) == spikes.sum()


def test_bars_are_the_rates(render):
    spikes = _spikes(30, 5)
    bars = render(plot_raster(spikes)).axes[1]
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], spikes.mean(0), rtol=1e-6)
    assert [text.get_text() for text in bars.texts] == [f"{rate:.2f}" for rate in spikes.mean(0)]


def test_many_rates_are_one_outline(render):
    spikes = _spikes(30, 784)
    bars = render(plot_raster(spikes)).axes[1]
    (outline,) = bars.patches
    np.testing.assert_allclose(outline.get_data().values, spikes.mean(0), rtol=1e-6)
    assert not bars.texts


def test_rates_can_be_left_out(render):
    figure = render(plot_raster(_spikes(10, 3), rates=False, title="output layer"))
    assert len(figure.axes) == 1
    assert figure.axes[0].get_title() == "output layer"


@pytest.mark.parametrize(
    ("steps", "neurons", "rate"), [(1, 1, 0.0), (3, 2, 1.0), (100, 10, 0.0), (100, 784, 0.3), (1000, 50, 1.0)]
)
def test_ticks_are_few_and_whole(render, tick_texts, steps, neurons, rate):
    plot = render(plot_raster(_spikes(steps, neurons, rate))).axes[0]
    for axis, length in ((plot.xaxis, steps), (plot.yaxis, neurons)):
        numbers = [int(text) for text in tick_texts(axis)]
        assert 1 <= len(numbers) <= 11
        assert all(0 <= number < length for number in numbers)


def test_batch_of_spikes_is_refused():
    with pytest.raises(ValueError, match=r"`spikes` must have the axes .* got the shape \(4, 2, 3\): select one"):
        plot_raster(np.zeros((4, 2, 3)))


def test_values_that_are_no_spikes_are_refused():
    with pytest.raises(ValueError, match=r"`spikes` of shape \(4, 2\) must have the values 0 and 1, got 2\.0"):
        plot_raster(np.full((4, 2), 2.0))
