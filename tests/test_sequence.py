"""A value for every step and one value for all behave alike."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spikejax.sequence import Static, Steps, apply_at_once, as_sequence, is_sequence

T, N = 6, 3
STATIC = Static(jnp.arange(12.0).reshape(N, 4), T)
STEPS = Steps(jnp.arange(72.0).reshape(T, N, 4))
each = pytest.mark.parametrize("xs", [STATIC, STEPS], ids=["static", "steps"])


@each
def test_facts_and_parts(xs):
    assert (xs.steps, xs.shape, xs.dtype) == (T, (N, 4), jnp.float32)
    assert xs.all().shape == (T, N, 4)
    for t in range(T):
        np.testing.assert_array_equal(xs.at(t), xs.all()[t])
        np.testing.assert_array_equal(jax.jit(lambda xs, t: xs.at(t))(xs, t), xs.all()[t])
    np.testing.assert_array_equal(jnp.concatenate((xs.first(2).all(), xs.after(2).all())), xs.all())
    assert (xs.first(2).steps, xs.after(2).steps) == (2, T - 2)
    np.testing.assert_array_equal(xs.map(lambda x: x.sum(-1)).all(), xs.all().sum(-1))
    assert jax.tree.map(lambda a: a, xs).steps == T and is_sequence(xs) and as_sequence(xs) is xs


@each
@pytest.mark.parametrize("steps", [1, T])
def test_loops_see_every_step_in_order(xs, steps):
    xs, rows = xs.first(steps), jnp.arange(10.0, 10.0 + steps)
    want = jnp.cumsum(xs.all() * rows[:, None, None], axis=0)

    def body(total, x, row):
        total = total + x * row
        return total, total

    last, sums = xs.scan(body, jnp.zeros((N, 4)), rows)
    np.testing.assert_allclose(sums, want)
    np.testing.assert_allclose(last, want[-1])

    def chunk_body(total, part, rows):
        return part.scan(body, total, rows)

    chunk = max(1, steps // 2)
    last, sums = xs.scan_chunks(chunk_body, jnp.zeros((N, 4)), rows.reshape(-1, chunk), chunk)
    np.testing.assert_allclose(sums.reshape(want.shape), want)
    np.testing.assert_allclose(last, want[-1])


@each
def test_transposes_give_the_gradient_of_the_data(xs):
    weights = jnp.cos(jnp.arange(72.0)).reshape(T, N, 4)
    (want,) = jax.tree.leaves(jax.grad(lambda xs: (xs.all() * weights).sum())(xs))
    np.testing.assert_allclose(xs.transpose_all(weights), want, rtol=1e-6)
    total = [jnp.zeros_like(xs.data)]
    for t in range(T):
        total = xs.add_at(total, t, [weights[t]])
    np.testing.assert_allclose(total[0], want, rtol=1e-6)


@pytest.mark.parametrize(("a", "b"), list(product([STATIC, STEPS], repeat=2)))
def test_a_function_of_batches_on_all_steps_at_once(a, b):
    seen = []

    def function(x, y):
        seen.append(x.shape)
        return (x - 2 * y).sum(-1)

    ys = apply_at_once(function, a, b)
    np.testing.assert_array_equal(ys.all(), (a.all() - 2 * b.all()).sum(-1))
    static = a.time_axis is None and b.time_axis is None
    assert (ys.time_axis is None) == static
    assert seen == [(N, 4) if static else (T * N, 4)]


def test_an_array_is_a_value_for_every_step():
    assert as_sequence(np.ones((T, N))).time_axis == 0
