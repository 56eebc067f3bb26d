"""What `run` refuses, and in which words."""

import jax
import jax.numpy as jnp
import pytest
from tests.scan.networks import nested

import spikejax as sx

CELL = sx.LIF()
XS = jnp.ones((5, 2, 3))
STATE = CELL.init_state((2, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"xs": XS[:0]}, r"`xs` must have at least one time step, got shape \(0, 2, 3\) with T = 0"),
        ({"xs": XS[0, 0]}, r"`xs` must be \[T, N, \*\], time first, got shape \(3,\): .* or give `steps`"),
        ({"xs": 1.0}, r"`xs` must be \[T, N, \*\], time first, got shape \(\)"),
        ({"xs": 1.0, "steps": 3}, r"`xs` must be one static input \[N, \*\] with `steps`, got shape \(\)"),
        ({"xs": XS[0], "steps": 0}, r"`steps` must be an integer >= 1, got 0"),
        ({"xs": XS[0], "steps": -1}, r"`steps` must be an integer >= 1, got -1"),
        ({"xs": XS[0], "steps": 2.0}, r"`steps` must be an integer >= 1, got 2.0"),
        ({"xs": XS[0], "steps": True}, r"`steps` must be an integer >= 1, got True"),
        ({"state": CELL.init_state((4, 3))}, r"`state`.v must have shape \(2, 3\) .* got \(4, 3\): make it with"),
        ({"state": CELL.init_state((3,))}, r"`state`.v must have shape \(2, 3\) .* got \(3,\)"),
        ({"state": STATE.v}, r"`state` must have the structure .*Membrane.* make it with init_state\(\(2, 3\)\)"),
        ({"state": (STATE,)}, r"`state` must have the structure"),
        ({"state": STATE, "steps": 5}, r"`xs` has a time axis and `steps` = 5 was given too: .* leave out one"),
        ({"xs": XS[0], "state": STATE}, r"`state`.v must have shape \(3,\) for inputs \(3,\), got \(2, 3\)"),
        ({"method": "warp"}, r"`method` must be one of 'auto', 'fused', 'scan'.*, got 'warp'"),
        ({"method": None}, r"`method` must be one of .*, got None"),
        ({"chunk": 0}, r"`chunk` must be an integer >= 1, got 0: .*, up to all 5, or None"),
        ({"chunk": -3}, r"`chunk` must be an integer >= 1, got -3"),
        ({"chunk": 2.0}, r"`chunk` must be an integer >= 1, got 2.0"),
        ({"chunk": True}, r"`chunk` must be an integer >= 1, got True"),
        ({"lengths": [5, 5, 5]}, r"`lengths` must be one integer a sequence, shape \(2,\), got int32 of shape \(3,\)"),
        ({"lengths": 5}, r"`lengths` must be one integer a sequence, shape \(2,\), got int32 of shape \(\)"),
        ({"lengths": [5.0, 2.0]}, r"`lengths` must be one integer a sequence, .* got float32"),
        ({"lengths": [0, 5]}, r"`lengths` must be within \[1, 5\], got values from 0.0 to 5.0"),
        ({"lengths": [2, 6]}, r"`lengths` must be within \[1, 5\], got values from 2.0 to 6.0"),
        (
            {"record": ["voltage"]},
            r"`record` names 'voltage', which no layer has: choose from h, input, membrane, spikes, v",
        ),
        ({"record": "1.spikes"}, r"`record` names '1.spikes', which no layer has"),
    ],
)
def test_bad_arguments(arguments, message):
    for transform in (lambda run: run, jax.jit):
        with pytest.raises(ValueError, match=message):
            transform(lambda: sx.run(CELL, **{"xs": XS} | arguments))()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (lambda x: x, r"`cell` must have `init_state` and `step`, got function: wrap layers in sx.nn.Sequential"),
        (None, r"`cell` must have `init_state` and `step`, got NoneType"),
        (sx.LIF, r"`cell` is the class LIF: give an instance, such as LIF\(\)"),
    ],
)
def test_what_is_no_cell(cell, message):
    with pytest.raises(TypeError, match=message):
        sx.run(cell, XS)


def test_a_record_of_a_network_lists_what_there_is():
    with pytest.raises(
        ValueError, match=r"'0.spikes', which no layer has: choose from 0.input, .*1.membrane, .*2.1.spikes"
    ):
        sx.run(nested(), jnp.ones((5, 2, 4)), record=["1.spikes", "0.spikes"])


def test_a_state_of_another_network_is_refused():
    with pytest.raises(ValueError, match=r"`state` must have the structure .* make it with init_state\(\(2, 4\)\)"):
        sx.run(nested(), jnp.ones((5, 2, 4)), sx.LIF().init_state((2, 4)))
    with pytest.raises(ValueError, match=r"`state`\[1\].v must have shape \(2, 5\) for inputs \(2, 4\), got \(3, 5\)"):
        sx.run(nested(), jnp.ones((5, 2, 4)), nested().init_state((3, 4)))
