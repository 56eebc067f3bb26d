"""What no file can hold is refused by name: layers that compute something else than their class says."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import spikejax as sx
from spikejax import nn
from spikejax.convert import convert
from spikejax.export import netx, onnx
from spikejax.export.nir import from_nir, to_nir

RNGS = nnx.Rngs(0)
WRITE = {
    "netx": lambda net, sample, path: netx.write(path, net, sample),
    "onnx": lambda net, sample, path: onnx.write(path, net, sample),
    "nir": lambda net, sample, path: to_nir(net, sample),
}
ALL = tuple(WRITE)


class Excitatory(nnx.Linear):
    def __call__(self, inputs):
        return inputs @ abs(self.kernel[...])


class Squared(nnx.Conv):
    def __call__(self, inputs):
        return super().__call__(inputs) ** 2


class Reordered(nn.Flatten):
    def __call__(self, x):
        return super().__call__(jnp.swapaxes(x, 1, 2))


class Shifted(nnx.BatchNorm):
    def __call__(self, x):
        return super().__call__(x) + 1


class Negated(nn.MaxPool):
    def __call__(self, x):
        return -super().__call__(-x)


class Louder(nn.Scale):
    def __call__(self, x):
        return 2 * super().__call__(x)


class Later(nn.Delay):
    @property
    def longest(self):
        return super().longest + 1


class Majority(nn.Voting):
    def __call__(self, x):
        return jnp.round(super().__call__(x))


class Doubling(nn.Sequential):
    def step(self, state, x):
        state, y = super().step(state, x)
        return state, 2 * y


class Inhibiting(nn.Recurrent):
    def current(self, x, y):
        return x - self.feedback(y)


class Quiet(nn.CellModule):
    def step(self, state, x):
        return super().step(state, 0 * x)


class Sine(sx.LIF):
    def charge(self, state, x):
        return state._replace(v=state.v + jnp.sin(x))


def linear(n=4, m=4, make=nnx.Linear, **options):
    return make(n, m, rngs=RNGS, **options)


def conv(**options):
    return nnx.Conv(2, 4, (3, 3), rngs=RNGS, **options)


def norm(make=nnx.BatchNorm, **options):
    return make(4, rngs=RNGS, **{"use_running_average": True} | options)


FLAT, IMAGE = (4,), (4, 4, 2)
NETWORKS = {
    "Linear": ([linear(make=Excitatory)], FLAT, "layer 0 (Excitatory) overrides `__call__` of Linear", ALL),
    "Conv": ([Squared(2, 4, (3, 3), rngs=RNGS)], IMAGE, "layer 0 (Squared) overrides `__call__` of Conv", ALL),
    "Flatten": ([Reordered(), linear(32)], IMAGE, "layer 0 (Reordered) overrides `__call__` of Flatten", ALL),
    "BatchNorm": ([linear(), norm(Shifted)], FLAT, "layer 1 (Shifted) overrides `__call__` of BatchNorm", ALL),
    "MaxPool": ([Negated(2)], IMAGE, "layer 0 (Negated) overrides `__call__` of MaxPool", ALL),
    "Scale": ([Louder(0.5)], FLAT, "layer 0 (Louder) overrides `__call__` of Scale", ALL),
    "Delay": ([Later(1)], FLAT, "layer 0 (Later) overrides `longest` of Delay", ALL),
    "Voting": ([sx.IF(), Majority(2)], FLAT, "layer 1 (Majority) overrides `__call__` of Voting", ALL),
    "nested": ([Doubling(linear()), sx.IF()], FLAT, "layer 0 (Doubling) overrides `step` of Sequential", ALL),
    "Recurrent": ([Inhibiting(sx.IF(), linear())], FLAT, "layer 0 (Inhibiting) overrides `current` of Recurr", ALL),
    "CellModule": ([Quiet(sx.IF(v_threshold=jnp.ones(())))], FLAT, "layer 0 (Quiet) overrides `step` of Cell", ALL),
    "feedback": (
        [linear(), nn.Recurrent(sx.IF(), linear(make=Excitatory))],
        FLAT,
        "layer 1.feedback (Excitatory) overrides `__call__` of Linear",
        ALL,
    ),
    "LIF": ([linear(), Sine()], FLAT, "layer 1 (Sine) has no", ("netx", "nir")),
    "quantised": ([netx.QuantizedLinear(np.ones((4, 4)), None, 64)], FLAT, "overrides `__call__` of Linear", ALL[1:]),
    "network in a loop": (
        [linear(), nn.Recurrent(nn.Sequential(sx.IF()), linear())],
        FLAT,
        "layer 1 (Recurrent) can be exported with one layer of neurons inside, such as sx.LIF(), got Sequential",
        ALL,
    ),
    "BatchNorm in train mode": (
        [linear(), norm(use_running_average=False)],
        FLAT,
        "layer 1 (BatchNorm) is in train mode, `use_running_average` False, and a file holds inference: call net",
        ALL,
    ),
    "Dropout in train mode": (
        [linear(), sx.IF(), nnx.Dropout(0.5, rngs=RNGS)],
        FLAT,
        "layer 2 (Dropout) is in train mode, `deterministic` False, and a file holds inference: call net",
        ALL,
    ),
    "TimeInvariantDropout in train mode": (
        [linear(), sx.IF(), nn.TimeInvariantDropout(0.5)],
        FLAT,
        "layer 2 (TimeInvariantDropout) is in train mode, `deterministic` False",
        ALL,
    ),
    "BatchNorm of rows": (
        [conv(), norm(axis=1), sx.IF()],
        IMAGE,
        "layer 1 (BatchNorm) has `axis` 1 over samples of shape (4, 4, 4): only the last axis",
        ALL,
    ),
    "BatchNorm of other features": ([linear(4, 3), norm()], FLAT, "layer 1 (BatchNorm) refused an input of", ALL),
    "dtype of Linear": ([linear(dtype=jnp.bfloat16)], FLAT, "layer 0 (Linear) computes in bfloat16, its `dtype`", ALL),
    "dtype of Conv": ([conv(dtype=jnp.float16)], IMAGE, "layer 0 (Conv) computes in float16, its `dtype`", ALL),
    "dtype of BatchNorm": (
        [linear(), norm(dtype=jnp.bfloat16)],
        FLAT,
        "layer 1 (BatchNorm) computes in bfloat16, its `dtype`",
        ALL,
    ),
    "sums": (
        [linear(preferred_element_type=jnp.bfloat16)],
        FLAT,
        "layer 0 (Linear) computes in bfloat16, its `preferred_element_type`",
        ALL,
    ),
    "promotion": (
        [linear(promote_dtype=lambda arrays, dtype: arrays)],
        FLAT,
        "layer 0 (Linear) has a `promote_dtype` of its own",
        ALL,
    ),
    "precision": (
        [linear(precision=lax.DotAlgorithmPreset.BF16_BF16_F32)],
        FLAT,
        "layer 0 (Linear) has `precision` BF16_BF16_F32",
        ALL,
    ),
    "product of Linear": (
        [linear(dot_general=lambda x, w, *a, **k: lax.dot_general(x, jnp.sign(w), *a, **k))],
        FLAT,
        "layer 0 (Linear) has a `dot_general` of its own",
        ALL,
    ),
    "product of Conv": (
        [conv(conv_general_dilated=lambda x, w, *a, **k: lax.conv_general_dilated(x, jnp.sign(w), *a, **k))],
        IMAGE,
        "layer 0 (Conv) has a `conv_general_dilated` of its own",
        ALL,
    ),
    "product of WeightStandardizedConv": (
        [nn.WeightStandardizedConv(2, 4, (3, 3), conv_general_dilated=lambda x, w, *a, **k: x, rngs=RNGS)],
        IMAGE,
        "layer 0 (WeightStandardizedConv) has a `conv_general_dilated` of its own",
        ALL,
    ),
    "mask": ([conv(mask=jnp.ones((3, 3, 2, 4)))], IMAGE, "layer 0 (Conv) has a `mask`: multiply its kernel", ALL),
}


@pytest.mark.parametrize("target", WRITE)
@pytest.mark.parametrize("name", NETWORKS)
def test_layer_is_refused_by_name(name, target, tmp_path):
    layers, sample, message, targets = NETWORKS[name]
    if target not in targets:
        pytest.skip("this exporter writes it")
    with pytest.raises(ValueError, match=re.escape(message)):
        WRITE[target](nn.Sequential(*layers), sample, tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", WRITE)
def test_the_network_itself_is_no_subclass_with_another_step(target, tmp_path):
    with pytest.raises(ValueError, match=r"`net` \(Doubling\) overrides `step` of Sequential"):
        WRITE[target](Doubling(linear(), sx.IF()), FLAT, tmp_path / "net")


class Drawn(nnx.Linear):
    """As its base, but for the arguments."""

    def __init__(self, rngs):
        super().__init__(4, 4, kernel_init=nnx.initializers.normal(2.0), rngs=rngs)


class Sharp(sx.LIF):
    """As its base, but for a method that nothing calls."""

    def halved(self):
        return self.replace(tau=self.tau / 2)


class Small(nn.Sequential):
    """As its base, but for the arguments."""

    def __init__(self, rngs):
        super().__init__(Drawn(rngs), Sharp(tau=2.0))


def spikes(steps=8, sample=FLAT):
    return np.random.default_rng(0).integers(0, 2, (steps, 1, *sample)).astype(np.float32)


@pytest.mark.parametrize("target", WRITE)
def test_subclass_that_overrides_nothing_is_its_base(target, tmp_path):
    WRITE[target](Small(nnx.Rngs(0)), FLAT, tmp_path / "net")
    net, xs = Small(nnx.Rngs(0)), spikes()
    ys = sx.run(net, xs)[1]
    assert 0 < np.mean(ys) < 1
    if target == "nir":
        np.testing.assert_array_equal(sx.run(from_nir(to_nir(net, FLAT)), xs)[1], ys)


def test_equations_of_the_user_are_traced(tmp_path):
    net, xs = nn.Sequential(linear(), Sine(v_threshold=0.3)), spikes()
    onnx.write(tmp_path / "net.onnx", net, FLAT)
    ys = sx.run(net, xs)[1]
    assert 0 < np.mean(ys) < 1
    np.testing.assert_array_equal(onnx.Session(tmp_path / "net.onnx").run(xs)[1], ys)


def test_eval_mode_is_written(tmp_path):
    net = nn.Sequential(linear(), norm(use_running_average=False), sx.IF(), nnx.Dropout(0.5, rngs=RNGS))
    net.eval()
    for target, write in WRITE.items():
        write(net, FLAT, tmp_path / target)


def test_products_that_skip_zeros_are_products(tmp_path):
    net = nn.Sequential(nn.SpikeLinear(4, 4, rngs=RNGS), sx.IF())
    for target, write in WRITE.items():
        write(net, FLAT, tmp_path / target)


def test_weights_in_bfloat16_are_folded_in_float32():
    layer = norm()
    layer.var[...] = jnp.linspace(0.3, 0.7, 4)
    net = nn.Sequential(linear(param_dtype=jnp.bfloat16), layer, sx.LeakyIntegrator())
    xs = spikes()
    np.testing.assert_allclose(sx.run(from_nir(to_nir(net, FLAT)), xs)[1], sx.run(net, xs)[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "scale", [0.5, jnp.arange(1.0, 5), jnp.arange(1.0, 5)[None], jnp.ones((2, 1, 4))], ids=jnp.shape
)
def test_scale_of_every_shape(scale, tmp_path):
    sample = (2, 3, 4) if jnp.ndim(scale) == 3 else FLAT
    net, xs = nn.Sequential(nn.Scale(scale)), spikes(2, sample)
    onnx.write(tmp_path / "net.onnx", net, sample)
    np.testing.assert_array_equal(onnx.Session(tmp_path / "net.onnx").run(xs)[1], sx.run(net, xs)[1])
    np.testing.assert_array_equal(sx.run(from_nir(to_nir(net, sample)), xs)[1], sx.run(net, xs)[1])


def test_converted_network_that_ends_in_neurons_is_written(tmp_path):
    """What a spike stands for is a Scale behind the last neurons."""
    ann = nnx.Sequential(linear(4, 6), nnx.relu, linear(6, 3), nnx.relu)
    samples = np.random.default_rng(1).uniform(0, 1, (8, 4)).astype(np.float32)
    net = convert(ann, samples)
    assert isinstance(net[len(net) - 1], nn.Scale)
    onnx.write(tmp_path / "net.onnx", net, FLAT)
    _, ys = onnx.Session(tmp_path / "net.onnx").run(samples[:1], steps=12)
    np.testing.assert_allclose(ys, jax.jit(lambda x: sx.run(net, x, steps=12)[1])(samples[:1]), rtol=1e-6)


def test_conversion_of_a_network_of_neurons_is_refused():
    with pytest.raises(
        TypeError, match=r"`ann` must be a function of one batch .* got Sequential, which carries a state"
    ):
        convert(nn.Sequential(linear(), sx.IF()), np.ones((2, 4), np.float32))
