"""Spike-timing-dependent plasticity on the smallest networks: one synapse, and two that compete.

Shows the traces, the spikes and the weight of one synapse over 128 steps, changed at every step through `learn` and
optax; and a neuron with two inputs, one that fires just before it and one just after, whose weights part under STDP,
and part the other way under anti-STDP, which has both signs turned round. The same changes come of a rule that is only
given the spikes, without any network.

    python examples/stdp_traces.py --out pictures
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import spikejax as sx
from spikejax.plasticity import STDP, SoftBound, keep_within, learn
from spikejax.typing import Array
from spikejax.visualize import plot_plasticity

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", type=Path, default=Path("runs/stdp-traces"), help="folder for the picture")
parser.add_argument("--tiny", action="store_true", help="fewer time steps: only to see that it works")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
steps = 32 if options.tiny else 128


def network(weights: list[list[float]]) -> sx.nn.Sequential:
    """A dense layer with these weights, `[inputs, outputs]`, and IF neurons."""
    kernel = jnp.array(weights)
    layer = nnx.Linear(*kernel.shape, use_bias=False, rngs=nnx.Rngs(0))
    layer.kernel[...] = kernel
    return sx.nn.Sequential(layer, sx.IF())


def train(net: sx.nn.Sequential, rule: STDP, xs: Array, optimizer: Any) -> Any:
    """Learns at every step: the spikes `[T, 1, outputs]`, and the traces and weights after each step."""
    graph, params = nnx.split(net)

    def step(carry: Any, x: Array) -> Any:
        params, opt_state, state, traces = carry
        learned = learn(nnx.merge(graph, params), {"0": rule}, x[None], state, traces)
        updates, opt_state = optimizer.update(learned.updates, opt_state, params)
        params = optax.apply_updates(params, updates)
        carry = params, opt_state, learned.state, learned.traces
        return carry, (learned.ys[0], learned.traces["0"][0], nnx.merge(graph, params)[0].kernel[...])

    start = (
        params,
        optimizer.init(params),
        net.init_state(xs.shape[1:]),
        {"0": (rule.init_state(net[0], xs.shape[1:]),)},
    )
    return jax.lax.scan(step, start, xs)[1]


# One synapse. Its strength both ways is the weight itself, within [-1, 1].
xs = jnp.float32(jax.random.uniform(jax.random.key(0), (steps, 1, 1)) > 0.7)
own = lambda weight: jnp.clip(weight, -1, 1)  # noqa: E731
spikes, traces, weights = train(network([[0.4]]), STDP(2.0, 2.0, f_pre=own, f_post=own), xs, optax.sgd(0.01))
courses = (xs, spikes, traces.pre, traces.post, weights)
figure = plot_plasticity(*(np.asarray(values).reshape(steps) for values in courses), title="STDP at one synapse")
figure.savefig(options.out / "stdp_traces.png")
print(f"one synapse: {xs.sum():.0f} spikes in, {spikes.sum():.0f} out, weight 0.4 to {weights[-1, 0, 0]:.4f}")

# Two inputs of one neuron. Two spikes of the first make it fire; the second fires one step later.
period = jnp.arange(steps) % 8
first, second = (period == 2) | (period == 3), period == 4
xs = jnp.stack((first, second), axis=-1)[:, None].astype(jnp.float32)
optimizer = optax.chain(optax.sgd(0.02), keep_within(0.0, 1.0))
for name, sign in (("STDP", 1.0), ("anti-STDP", -1.0)):
    rule = STDP(4.0, 4.0, f_pre=sign, f_post=sign)
    spikes, _, weights = train(network([[0.7], [0.2]]), rule, xs, optimizer)
    print(f"two inputs, {name}: weights 0.70, 0.20 to {', '.join(f'{w:.2f}' for w in weights[-1, :, 0])}")

# The rule alone, which needs no network but the spikes of both sides.
rule = STDP(4.0, 4.0, f_pre=SoftBound(0.0, upper=False), f_post=SoftBound(1.0))
layer = network([[0.5], [0.5]])[0]
out = (period == 3)[:, None, None].astype(jnp.float32)
_, change = rule.steps(rule.init_state(layer, (1, 2)), layer, xs, out)
print(f"given spikes alone: change {', '.join(f'{dw:.2f}' for dw in change[:, 0])}")
print(f"picture: {options.out / 'stdp_traces.png'}")
