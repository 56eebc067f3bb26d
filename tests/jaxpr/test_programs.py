"""What a program reads, and its parts, against the program itself."""

import jax
import jax.numpy as jnp
import numpy as np

from spikejax.jaxpr import operations, reads, split_program

A, B, C = jnp.array([0.5, -1.0]), jnp.array([2.0, 3.0]), jnp.array([1.0, 4.0])


def test_reads_follow_every_operand_of_every_call():
    def function(a, b, c):
        later = jax.jit(lambda x, y: jnp.cos(y) - x)(2.0 * a, b)
        return jnp.where(later > 0, 1.0, 0.0), c.shape[0]

    assert reads(function, A, B, C) == [True, True, False]
    assert reads(lambda a, b, c: 1.0 - c, A, B, C) == [False, False, True]


def test_the_parts_of_a_program_are_the_whole():
    table = jnp.array([1.0, 2.0])

    def function(known, varying):
        constant = jnp.sin(jnp.arange(2.0))
        drive = known["a"] * table + constant
        return {"sum": drive + varying, "scaled": constant * varying, "known": drive}

    before, rest = split_program(function, {"a": A}, B)
    got = rest(before({"a": A}), B)
    jax.tree.map(np.testing.assert_allclose, got, function({"a": A}, B))
    dependent = [op.primitive.name for op in operations(jax.make_jaxpr(rest)(before({"a": A}), B))]
    assert "mul" in dependent and len(dependent) < len(list(operations(jax.make_jaxpr(function)({"a": A}, B))))
