"""Random small networks: written, checked, read, and simulated, they stay what they are."""

import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.export.netx import chip

import spikejax as sx
from spikejax.export import netx

cells = st.one_of(
    st.builds(lambda theta: sx.IF(v_threshold=theta), st.floats(0.1, 2)),
    st.builds(
        lambda tau, decay: sx.LIF(tau=tau, v_threshold=0.3, decay_input=decay), st.floats(1.1, 50), st.booleans()
    ),
    st.builds(lambda a, b: sx.CubaLIF(tau_syn=a, tau=b, v_threshold=0.8), st.floats(1, 9), st.floats(1.5, 9)),
)


@st.composite
def networks(draw):
    """A chain of up to three layers over an image or features, its sample shape, and the number of a scale."""
    draw_weights = np.random.default_rng(draw(st.integers(0, 1000)))
    layers, shape = [], (draw(st.integers(3, 6)), draw(st.integers(3, 6)), draw(st.integers(1, 2)))

    def with_weights(layer):
        size = layer.kernel.shape
        layer.kernel[...] = jnp.asarray(draw_weights.normal(size=size) * 3 / np.sqrt(np.prod(size[:-1])))
        return layer

    if draw(st.booleans()):
        window = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        padding = draw(st.sampled_from(["SAME", "VALID"]))
        strides = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
        conv = nnx.Conv(shape[-1], 3, window, strides, padding=padding, use_bias=False, rngs=nnx.Rngs(0))
        layers += [with_weights(conv), draw(cells)]
        layers += draw(st.sampled_from([[], [sx.nn.MaxPool(1)], [sx.nn.SumPool(1)]]))
    layers.append(sx.nn.Flatten())
    fan_in = int(np.prod(jnp.shape(sx.run(sx.nn.Sequential(*layers), jnp.zeros((1, 1, *shape)))[1])[2:]))
    for out in draw(st.lists(st.integers(1, 8), min_size=1, max_size=2)):
        layers += [with_weights(nnx.Linear(fan_in, out, use_bias=False, rngs=nnx.Rngs(0)))]
        layers += [*draw(st.sampled_from([[], [sx.nn.Delay(2)]])), draw(cells)]
        fan_in = out
    return sx.nn.Sequential(*layers), shape


@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(networks(), st.sampled_from(["auto", 64.0, 20.0]), st.integers(0, 100))
def test_write_check_read_simulate(network, scale, seed):
    net, shape = network
    net = netx.quantized(net, shape, scale=scale)
    report = netx.check(net, shape)
    spikes = (np.random.default_rng(seed).random((8, 2, *shape)) < 0.5).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.net"
        if report.errors:
            try:
                netx.write(path, net, shape)
            except ValueError as error:
                assert report.errors[0] in str(error) and not path.exists()
                return
            raise AssertionError(report.errors)
        netx.write(path, net, shape)
        flat = not isinstance(netx.read(path)[0], nnx.Conv)
        given_to_chip = spikes.reshape(8, 2, -1) if flat else spikes
        want = np.asarray(sx.run(net, jnp.asarray(spikes))[1])
        np.testing.assert_array_equal(netx.simulate_fixed_point(path, given_to_chip), want)
        first = given_to_chip if flat else np.moveaxis(given_to_chip, -1, 2)
        np.testing.assert_array_equal(chip.simulate(path, first), want)
        netx.write(Path(folder) / "b.net", netx.read(path), given_to_chip.shape[2:])
        np.testing.assert_array_equal(netx.simulate_fixed_point(Path(folder) / "b.net", given_to_chip), want)
