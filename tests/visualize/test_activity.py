"""The overview of the activity of a network."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import spikejax as sx
from spikejax.visualize import plot_activity

RNG = np.random.default_rng(0)
STEPS = 6
SPIKES = {
    "1.spikes": RNG.random((STEPS, 3, 4, 5, 2)) < 0.4,
    "10.spikes": np.zeros((STEPS, 3, 8)),
    "4.spikes": np.ones((STEPS, 3, 8)) * (np.arange(8) < 2),
}
IN_ORDER = ("1.spikes", "4.spikes", "10.spikes")


def test_layers_in_the_order_of_the_network(render):
    figure = render(plot_activity(SPIKES | {"4.membrane": -np.ones((2, 3, 8))}, title="all layers"))
    over_time, spread, shares, _ = figure.axes
    names = [label.get_text() for label in over_time.get_yticklabels()]
    assert names == ["1 (40)", "4 (8)", "10 (8)"]
    drawn = over_time.images[0].get_array()
    np.testing.assert_allclose(drawn, [SPIKES[name].reshape(STEPS, -1).mean(1) for name in IN_ORDER], rtol=1e-6)
    rates = [SPIKES[name].mean((0, 1)).ravel() for name in IN_ORDER]
    np.testing.assert_allclose(spread.lines[0].get_xdata(), [rate.mean() for rate in rates], rtol=1e-6)
    for bar, rate in zip(spread.patches, rates, strict=True):
        ends = bar.get_x(), bar.get_x() + bar.get_width()
        np.testing.assert_allclose(ends, np.percentile(rate, (25, 75)), rtol=1e-6)
    whiskers, medians = (collection.get_segments() for collection in spread.collections)
    np.testing.assert_allclose([w[:, 0] for w in whiskers], [np.percentile(r, (5, 95)) for r in rates], rtol=1e-6)
    np.testing.assert_allclose([m[0, 0] for m in medians], [np.median(r) for r in rates], rtol=1e-6)
    silent, saturated = ([bar.get_width() for bar in bars] for bars in shares.containers)
    assert (silent, saturated) == ([0, 75, 100], [0, 25, 0])
    assert [text.get_text() for text in shares.texts] == ["none", "75 % silent, 25 % saturated", "100 % silent"]
    assert figure.get_suptitle() == "all layers"


def test_record_of_one_cell():
    _, (_, records) = sx.run(sx.IF(), jnp.ones((2, 5)), steps=STEPS, record="spikes")
    assert [label.get_text() for label in plot_activity(records).axes[0].get_yticklabels()] == ["spikes (5)"]


def test_other_names_stay_in_their_order():
    figure = plot_activity({name: SPIKES["1.spikes"] for name in ("stem", "body", "head")})
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["stem (40)", "body (40)", "head (40)"]


def test_thirty_layers_are_legible():
    figure = plot_activity({f"{layer}.spikes": SPIKES["1.spikes"] for layer in range(30)})
    figure.draw_without_rendering()
    texts = [text.get_window_extent() for text in figure.axes[2].texts]
    assert all(upper.y0 >= lower.y1 for upper, lower in itertools.pairwise(texts))


@pytest.mark.parametrize(
    ("records", "match"),
    [
        ({}, r'`records` must hold at least one layer, got none: run with record="spikes"'),
        (
            {"1.spikes": np.ones((3, 4))},
            r"`records\['1\.spikes'\]` must have the axes \[time steps, samples, neurons\]",
        ),
        ({"1.spikes": np.ones((3, 0, 2, 2))}, r"`records\['1\.spikes'\]` must have"),
        (SPIKES | {"12.spikes": np.ones((3, 1, 2))}, r"all of `records` must be as long, got 3 and 6 time steps"),
        ({"1.membrane": -np.ones((3, 1, 2))}, r"`records\['1\.membrane'\]` must have values from 0 to 1, got -1\.0"),
    ],
)
def test_what_cannot_be_drawn(records, match):
    with pytest.raises(ValueError, match=match):
        plot_activity(records)
