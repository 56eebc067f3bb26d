"""Networks, losses and plain loops that the rules are held to."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import spikejax as sx
from spikejax import plasticity as rules
from spikejax.nn import Recurrent, Sequential

QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
KEY = jax.random.key(5)


def loss(y, target):
    return jnp.mean((y - target) ** 2)


def normal(seed, *shape, scale=1.0):
    return scale * jax.random.normal(jax.random.key(seed), shape)


def compiled(function, *args):
    """`function(*args)` in one program that compiles fast."""
    return jax.jit(function).lower(*args).compile(compiler_options=QUICK)(*args)


def each(net, xs, targets, *chosen, state=None):
    """Loss and gradient by every rule that is chosen, and last by BPTT."""
    return [rules.value_and_grad_online(rule)(loss, net, xs, targets, state=state) for rule in (*chosen, rules.BPTT())]


def by_name(grads):
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(grads)}


def check_equal(have, want, but=(), atol=2e-6):
    have, want = by_name(have), by_name(want)
    assert have.keys() == want.keys()
    for name in want:
        if not any(part in name for part in but):
            np.testing.assert_allclose(have[name], want[name], rtol=2e-4, atol=atol, err_msg=name)
            assert abs(want[name]).max() > 0, name


def flat(grads):
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(grads)])


def cosine(a, b):
    a, b = flat(a), flat(b)
    return float(a @ b / jnp.linalg.norm(a) / jnp.linalg.norm(b))


def deep(seed=0):
    """Two hidden layers and a leaky read-out."""
    linear = partial(nnx.Linear, rngs=nnx.Rngs(seed))
    lif = partial(sx.LIF, tau=3.0, decay_input=False, detach_reset=True)
    return Sequential(
        linear(6, 12), lif(), Sequential(linear(12, 12), lif()), linear(12, 3), sx.LeakyIntegrator(tau=4.0)
    )


def recurrent(seed=0, cell=None):
    linear = partial(nnx.Linear, rngs=nnx.Rngs(seed))
    cell = cell or sx.LIF(tau=jnp.array(3.0), decay_input=False, detach_reset=True)
    return Sequential(linear(6, 12), Recurrent(cell, linear(12, 12)), linear(12, 3), sx.LeakyIntegrator(tau=4.0))


ALL = {
    "SLTT": rules.SLTT(),
    "OTTT": rules.OTTT(),
    "DiagonalRTRL": rules.DiagonalRTRL(),
    "EProp": rules.EProp(),
    "DECOLLE": rules.DECOLLE(KEY, rules.DiagonalRTRL()),
    "FPTT": rules.FPTT(),
    "ForwardGradient": rules.ForwardGradient(KEY, samples=4),
}
"""One of each rule."""
