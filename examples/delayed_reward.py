"""A reward that comes late: what an eligibility trace is for.

Two cues, two actions. A cue is shown for ten steps as Poisson spikes of its five inputs; of two neurons that compete,
the one that fires more has chosen. Only some steps later, after silence, comes the reward: 1 for the right choice, -1
for the wrong one. `MSTDP`, whose rewards meet what the step before did, can learn nothing then; `MSTDPET` remembers.

    python examples/delayed_reward.py
"""

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import spikejax as sx
from spikejax.plasticity import MSTDP, MSTDPET, RewardRule, keep_within, learn
from spikejax.typing import Array

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--trials", type=int, default=200, help="batches of trials")
parser.add_argument("--tiny", action="store_true", help="few trials: only to see that it works")
options = parser.parse_args()
trials, batch, shown, seeds = 25 if options.tiny else options.trials, 32, 10, 8


def network(rngs: nnx.Rngs) -> sx.nn.Sequential:
    """Ten inputs, two actions, of which one fires at a step."""
    layer = nnx.Linear(10, 2, use_bias=False, kernel_init=nnx.initializers.uniform(0.4), rngs=rngs)
    return sx.nn.Sequential(layer, sx.nn.WinnerTakeAll(sx.LIF(tau=5.0, decay_input=False)))


def accuracy(rule: RewardRule, delay: int) -> tuple[Array, Array]:
    """Share of right choices in the first and in the last ten batches of trials, of several networks at once."""
    optimizer = optax.chain(optax.sgd(0.01), keep_within(0.0, 1.0))
    graph = nnx.graphdef(network(nnx.Rngs(0)))

    def trial(carry: Any, key: Array) -> Any:
        params, opt_state = carry
        net = nnx.merge(graph, params)
        cue = jax.random.bernoulli(jax.random.fold_in(key, 0), shape=(batch,)).astype(int)
        rates = 0.5 * (jnp.arange(10) // 5 == cue[:, None])
        cues = jax.random.bernoulli(jax.random.fold_in(key, 1), rates, (shown, batch, 10)).astype(jnp.float32)
        # While the cue is shown nothing is rewarded; state and traces go on into the silence, and to the reward.
        first = learn(net, {"0": rule}, cues, rewards=0.0)
        right = first.ys.sum(0).argmax(-1) == cue
        rewards = jnp.zeros((delay, batch)).at[-1].set(jnp.where(right, 1.0, -1.0))
        silence = jnp.zeros((delay, batch, 10))
        second = learn(net, {"0": rule}, silence, first.state, first.traces, rewards=rewards)
        updates, opt_state = optimizer.update(second.updates, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), right.mean()

    def one_network(seed: Array) -> Array:
        params = nnx.state(network(nnx.Rngs(jax.random.key(seed))))
        keys = jax.random.split(jax.random.fold_in(jax.random.key(1), seed), trials)
        return jax.lax.scan(trial, (params, optimizer.init(params)), keys)[1]

    right = jax.jit(jax.vmap(one_network))(jnp.arange(seeds))
    return right[:, :10].mean(), right[:, -10:].mean()


for delay in (1, 10, 30):
    for rule in (MSTDP(5.0, 5.0, f_pre=0.0), MSTDPET(5.0, 5.0, f_pre=0.0, tau_trace=20.0)):
        before, after = accuracy(rule, delay)
        print(f"reward after {delay:2} steps, {type(rule).__name__:7}: right choices {before:.0%}, at last {after:.0%}")
