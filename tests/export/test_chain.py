"""Networks as plain layers: what they compute is kept, what has no plain form is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import spikejax as sx
from spikejax.export import chain as plain
from spikejax.export.chain import read_chain

RNGS = nnx.Rngs(0)


def network():
    norm = nnx.BatchNorm(4, use_running_average=True, rngs=RNGS)
    norm.mean[...], norm.var[...] = jnp.arange(4.0), jnp.linspace(0.5, 2, 4)
    norm.scale[...], norm.bias[...] = jnp.linspace(1, 2, 4), jnp.linspace(-1, 1, 4)
    last = nnx.BatchNorm(10, use_running_average=True, use_bias=False, use_scale=False, rngs=RNGS)
    return sx.nn.Sequential(
        nnx.Conv(2, 4, (3, 5), strides=(2, 1), kernel_dilation=(1, 2), feature_group_count=2, rngs=RNGS),
        norm,
        sx.LeakyIntegrator(),
        sx.nn.Sequential(sx.nn.AvgPool((2, 3)), nnx.Dropout(0.5, deterministic=True, rngs=RNGS), sx.nn.Flatten()),
        nnx.Linear(16, 10, rngs=RNGS),
        last,
        sx.nn.Recurrent(sx.LeakyIntegrator(), nnx.Linear(10, 10, rngs=RNGS)),
        sx.nn.Delay(2),
        sx.nn.Voting(2),
    )


def evaluate(layers, xs):
    """The layers on `[T, *]` of one sample, from their plain fields."""
    for layer in layers:
        assert xs.shape[1:] == layer.inputs
        if isinstance(layer, plain.DenseSpec):
            xs = xs @ layer.kernel + (0 if layer.bias is None else layer.bias)
        elif isinstance(layer, plain.ConvSpec):
            xs = lax.conv_general_dilated(
                xs,
                layer.kernel,
                layer.strides,
                layer.padding,
                rhs_dilation=layer.dilation,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                feature_group_count=layer.groups,
            ) + (0 if layer.bias is None else layer.bias)
        elif isinstance(layer, plain.PoolSpec):
            window, strides = (1, *layer.window, 1), (1, *layer.strides, 1)
            xs = lax.reduce_window(xs, 0.0, lax.add, window, strides, ((0, 0), *layer.padding, (0, 0)))
            xs = xs / np.prod(layer.window) if layer.mode == "avg" else xs
        elif isinstance(layer, plain.FlattenSpec):
            xs = xs.reshape(len(xs), -1)
        elif isinstance(layer, plain.DelaySpec):
            xs = jnp.concatenate([jnp.zeros_like(xs[: int(layer.delay)]), xs[: -int(layer.delay)]])
        elif isinstance(layer, plain.VotingSpec):
            xs = xs.reshape(len(xs), -1, layer.voters).mean(-1)
        else:
            state, y, ys = layer.cell.init_state(xs[:1].shape), jnp.zeros_like(xs[:1]), []
            for x in xs[:, None]:
                back = 0 if layer.feedback is None else y @ layer.feedback.kernel + layer.feedback.bias
                state, y = layer.cell.step(state, x + back)
                ys.append(y[0])
            xs = jnp.stack(ys)
        assert xs.shape[1:] == layer.outputs
    return xs


def test_the_layers_compute_what_the_network_does():
    net, xs = network(), jax.random.normal(jax.random.key(0), (6, 8, 6, 2))
    layers = read_chain(net, xs.shape[1:], "nir")
    np.testing.assert_allclose(evaluate(layers, xs), sx.run(net, xs[:, None])[1][:, 0], rtol=1e-5, atol=1e-5)
    assert [layer.name for layer in layers] == ["0", "2", "3.0", "3.2", "4", "6", "7", "8"]
    assert [layer.kind for layer in layers][:3] == ["Conv", "LeakyIntegrator", "AvgPool"]


@pytest.mark.parametrize(
    ("layers", "shape", "kind", "message"),
    [
        (sx.LIF(), (4,), TypeError, "`net` must be a spikejax.nn.Sequential, got LIF: put the layers into one"),
        ([sx.LIF()], (), ValueError, "`sample_shape` must be the shape of one sample"),
        ([sx.LIF()], (0, 3), ValueError, "`sample_shape` must be the shape of one sample"),
        ([nnx.BatchNorm(4, rngs=RNGS)], (4,), ValueError, r"layer 0 \(BatchNorm\) can be folded only into"),
        ([nnx.Linear(4, 2, rngs=RNGS)], (2, 4), ValueError, r"layer 0 \(Linear\) takes 4 features, and gets \(2, 4\)"),
        (
            [nnx.Conv(1, 2, (3, 3), rngs=RNGS)],
            (4, 1),
            ValueError,
            r"layer 0 \(Conv\) takes 2 space axes and 1 channels",
        ),
        (
            [nnx.Conv(1, 2, (3,), padding="CAUSAL", rngs=RNGS)],
            (4, 1),
            ValueError,
            "has padding 'CAUSAL': pad with zeros",
        ),
        ([nnx.Conv(1, 2, (3,), input_dilation=2, rngs=RNGS)], (4, 1), ValueError, "has input_dilation 2: only 1"),
        ([sx.LIF(tau=jnp.full(3, 2.0))], (4,), ValueError, r"layer 0 \(LIF\) refused an input of shape \(4,\): `tau`"),
        ([sx.nn.Voting(3)], (4,), ValueError, r"layer 0 \(Voting\) refused an input of shape \(4,\)"),
        (
            [sx.nn.Recurrent(sx.LIF(), jnp.tanh)],
            (4,),
            ValueError,
            r"with a dense feedback, an nnx.Linear over features",
        ),
        ([jax.nn.relu], (4,), ValueError, r"layer 0 \(relu\) is not a layer that can be exported: use nnx.Linear"),
    ],
)
def test_what_has_no_plain_form_is_named(layers, shape, kind, message):
    net = sx.nn.Sequential(*layers) if isinstance(layers, list) else layers
    with pytest.raises(kind, match=message):
        read_chain(net, shape, "nir")
