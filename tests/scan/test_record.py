"""Membranes and spikes by layer, beside the outputs."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.scan.networks import STEPS, inputs, nested, run

import spikejax as sx

CELLS = ("1", "2.1", "5")


@cache
def by_hand():
    """Membranes of the three cells after each step, and the spikes of the first."""
    net = nested()
    state, membranes, spikes = net.init_state(inputs().shape[1:]), [], []
    step = jax.jit(net.step)
    for x in inputs():
        spikes.append(net[1].step(state[1], net[0](x))[1])
        state, _ = step(state, x)
        membranes.append((state[1].v, state[2][1].v, state[5].v))
    return [np.stack(v) for v in zip(*membranes, strict=True)], np.stack(spikes)


@pytest.mark.parametrize("how", [{"chunk": 1}, {"chunk": 5}, {"chunk": 4, "remat": True}, {"chunk": STEPS}], ids=str)
def test_record_equals_recomputation(how):
    net = nested()
    membranes, spikes = by_hand()
    _, (ys, kept) = run(net, inputs(), record=["membrane", "spikes", "0.input", "4.output"], **how)
    assert set(kept) == {f"{cell}.{kind}" for cell in CELLS for kind in ("membrane", "spikes")} | {
        "0.input",
        "4.output",
    }
    for cell, membrane in zip(CELLS, membranes, strict=True):
        np.testing.assert_allclose(kept[f"{cell}.membrane"], membrane, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(kept["1.spikes"], spikes)
    np.testing.assert_array_equal(kept["5.spikes"], ys)
    np.testing.assert_array_equal(kept["0.input"], inputs())
    np.testing.assert_allclose(kept["4.output"], net[4](2 * kept["2.1.spikes"]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("record", "names"),
    [
        (["spikes"], {"1.spikes", "2.1.spikes", "5.spikes"}),
        ("membrane", {"1.membrane", "2.1.membrane", "5.membrane"}),
        (["2.1.membrane"], {"2.1.membrane"}),
        (["v"], {"1.v", "2.1.v", "5.v"}),
        ("output", {"0.output", "2.0.output", "3.output", "4.output"}),
        ("input", {f"{layer}.input" for layer in ("0", "1", "2.0", "2.1", "3", "4", "5")}),
        (("1.spikes", "5.v"), {"1.spikes", "5.v"}),
        (["1.spikes", "spikes"], {"1.spikes", "2.1.spikes", "5.spikes"}),
        ([], set()),
    ],
)
def test_names_choose_layers_and_kinds(record, names):
    net, xs = nested(), inputs()
    _, (ys, kept) = jax.eval_shape(lambda xs: sx.run(net, xs, record=record), xs)
    assert set(kept) == names
    assert all(array.shape[:2] == ys.shape[:2] for array in kept.values())


def test_a_cell_alone_is_recorded_without_a_path():
    state, (spikes, kept) = run(sx.LIF(), inputs(), record=["spikes", "membrane"])
    assert set(kept) == {"spikes", "membrane"}
    np.testing.assert_array_equal(kept["spikes"], spikes)
    np.testing.assert_array_equal(kept["membrane"][-1], state.v)


def test_static_inputs_are_recorded_under_the_same_names():
    x = inputs()[0]
    _, (_, want) = run(nested(), np.broadcast_to(x, (STEPS, *x.shape)), record=["membrane", "input"])
    _, (_, kept) = run(nested(), x, steps=STEPS, record=["membrane", "input"])
    assert set(kept) == set(want)
    for name, array in want.items():
        np.testing.assert_allclose(kept[name], array, rtol=1e-5, atol=1e-6)


def test_recording_changes_nothing_else():
    state, ys = run(nested(), inputs())
    recorded, (same, _) = run(nested(), inputs(), record=["spikes", "membrane"])
    np.testing.assert_array_equal(same, ys)
    np.testing.assert_array_equal(recorded[5].v, state[5].v)


def test_any_field_of_a_state_can_be_recorded(key):
    net = sx.nn.Sequential(sx.encoding.Poisson(), sx.IF())
    state = net.init_state((2, 3), key=key)
    xs = jnp.full((6, 2, 3), 0.5)
    _, (ys, kept) = run(net, xs, state, chunk=4, record=["t", "1.v", "0.spikes"])
    assert set(kept) == {"0.t", "1.v", "0.spikes"}
    np.testing.assert_array_equal(kept["0.t"], [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(kept["0.spikes"], ys)
    np.testing.assert_array_equal(kept["1.v"], 0)
