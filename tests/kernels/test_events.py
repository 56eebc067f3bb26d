"""Products that skip zeros, by machine code, against NumPy and against the full product."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spikejax.kernels import events
from spikejax.kernels.llvm import product_with_spikes, products, spikes_to_bits, table
from spikejax.kernels.llvm.call import call_kernel

SHAPES = [
    (1, 1, 1),
    (3, 5, 7),  # fewer than a vector
    (64, 64, 128),  # whole words, tiles and vectors
    (65, 129, 145),  # one more
    (70, 300, 20),  # more inputs than a block
    (300, 70, 40),  # more rows than a block
    (5000, 65, 16),  # a transposed product in parts, the last shorter
    (600, 500, 64),  # shared among threads
]


def drawn(rows, inputs, columns, rate=0.2):
    rng = np.random.default_rng(rows)
    spikes = (rng.random((rows, inputs)) < rate).astype(np.float32)
    return spikes, rng.standard_normal((inputs, columns), np.float32), rng.standard_normal((rows, columns), np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_bits_are_those_of_xla_and_come_back(shape):
    spikes, _, _ = drawn(*shape)
    bits = jax.jit(spikes_to_bits)(spikes)
    np.testing.assert_array_equal(bits, events._pack(jnp.asarray(spikes)))
    np.testing.assert_array_equal(events.unpack_spikes(bits, shape[1]), spikes)


@pytest.mark.parametrize("rate", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_those_of_numpy(shape, rate):
    spikes, kernel, values = drawn(*shape, rate)
    bits = events.pack_spikes(jnp.asarray(spikes))
    for transposed, left, right in ((False, spikes, kernel), (True, spikes.T, values)):
        product = jax.jit(partial(product_with_spikes, inputs=shape[1], transposed=transposed))
        want = left.astype(np.float64) @ right
        scale = np.abs(left).astype(np.float64) @ np.abs(right) + 1e-30
        assert np.max(np.abs(product(bits, right) - want) / scale) < 1e-6


def test_long_sums_round_as_little_as_those_of_the_full_product():
    rows = 2**15
    bits = np.random.default_rng(0).integers(0, 256, (rows, 8), np.uint8)
    code = products.product_code(rows, 64, 1, rows, transposed=True)  # in one part
    (got,) = jax.jit(partial(call_kernel, code, [jax.ShapeDtypeStruct((64, 1), jnp.float32)]))(
        bits, np.full((rows, 1), 0.1, np.float32)
    )
    want = np.float64(np.float32(0.1)) * np.unpackbits(bits, axis=1, bitorder="little").sum(0, dtype=np.float64)
    assert np.max(np.abs(got[:, 0] / want - 1)) < 3e-6


def test_the_shapes_reach_what_they_are_for():
    rows, inputs, _ = SHAPES[-1]
    assert rows * inputs >= table.MIN_SHARED_ELEMENTS > max(r * i for r, i, _ in SHAPES[:-2])
    code = products.product_code(5000, 65, 16, 1280, transposed=True)
    assert (code.tiles, code.helpers) == (8, 7)  # two words of inputs, four parts
    # 32 parts of 1032 rows are 26 of whole blocks; more would never be written.
    bits, values = (jax.ShapeDtypeStruct((33_000, 8), dtype) for dtype in (jnp.uint8, jnp.float32))
    product = partial(product_with_spikes, inputs=8, transposed=True)
    assert "tensor<26x8x8xf32>" in jax.jit(product).lower(bits, values).as_text()


def test_every_value_but_zero_is_a_spike():
    spikes = jnp.array([[0.0, -0.0, 1.0, -2.0, jnp.nan, jnp.inf, 1e-30, 0.5]], jnp.float32)
    assert np.asarray(jax.jit(spikes_to_bits)(spikes))[0, 0] == 0b11111100


def product(spikes, kernel):
    return spikes @ kernel


def product_transposed(residuals, values):
    return events.unpack_spikes(residuals[0], 40).astype(jnp.float32).T @ values


@pytest.mark.parametrize(("rate", "skipped"), [(0.1, True), (0.4, False)])
def test_zeros_are_skipped_where_there_are_few_spikes(rate, skipped):
    spikes, kernel, values = map(jnp.asarray, drawn(100, 40, 24, rate))
    spikes = spikes.at[:, 0].set(0)
    holed = kernel.at[0].set(jnp.nan)  # what is skipped is not read
    got = jax.jit(partial(events.multiply_spikes, product))(spikes, holed)
    assert bool(jnp.isnan(got).any()) is not skipped
    got = jax.jit(partial(events.multiply_spikes, product))(spikes, kernel)
    np.testing.assert_allclose(got, spikes @ kernel, atol=1e-5)
    residuals = events.pack_spikes(spikes), None
    got = jax.jit(partial(events.multiply_spikes_transposed, product_transposed, 40))(residuals, values)
    np.testing.assert_allclose(got, spikes.T @ values, atol=1e-5)


def test_vmap_takes_the_full_product():
    many, kernels = jnp.stack([jnp.asarray(drawn(100, 40, 24)[0])] * 3), jnp.asarray(drawn(100, 40, 72)[1])
    kernels = kernels.reshape(40, 3, 24).swapaxes(0, 1)
    for axes in ((0, None), (None, 0), (0, 0)):
        args = [a if axis == 0 else a[0] for a, axis in zip((many, kernels), axes, strict=True)]
        by_kernel = jax.jit(jax.vmap(partial(events.multiply_spikes, product), axes))
        np.testing.assert_allclose(by_kernel(*args), jax.vmap(product, axes)(*args), atol=1e-5)
        assert "spikejax_events" not in by_kernel.lower(*args).as_text()


@pytest.mark.parametrize(
    ("spikes", "kernel", "skips"),
    [
        ((32, 32), (32, 8), True),
        ((32, 32), (32, 7), False),  # little to add
        ((40, 31), (31, 8), False),  # half of the bits left over
        ((31, 33), (33, 8), False),  # little to skip
    ],
)
def test_small_products_take_all_in(spikes, kernel, skips):
    args = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (spikes, kernel)]
    assert events.may_skip_zeros(product, *args) is skips
    half = [jax.ShapeDtypeStruct(shape, jnp.bfloat16) for shape in (spikes, kernel)]
    assert not events.may_skip_zeros(product, *half)
    assert not events.may_skip_zeros(lambda *at: product(*at).astype(jnp.bfloat16), *args)
