"""Learning by a loss for each layer of neurons."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from spikejax.checks import check_key, check_type
from spikejax.plasticity.online.objective import Objective, Sample
from spikejax.plasticity.online.rule import Advance, Carry, LocalRule, OnlineRule
from spikejax.plasticity.online.sltt import SLTT
from spikejax.plasticity.online.step import OnlineStep, RuleMemory
from spikejax.typing import Array, State


class DECOLLE(OnlineRule):
    """Deep continuous local learning: every layer of neurons has the loss of a fixed random read-out of its own.

        L = loss(y, target) + sum over layers l of loss(G_l s_l, target)      dL_l/dW_m = 0 for m != l

    No gradient passes from a layer of neurons to the next. G_l is drawn from the normal distribution over the root
    of the layer's size, of the shape that the network's output has; the layer that is the network's output needs none.
    The value is the loss of the network's own output. The memory is that of `base`, and the read-outs.

    Args:
        key: a `jax.random.key`, for the read-outs.
        base: the rule for time within a layer: `SLTT()`, `OTTT()`, `DiagonalRTRL()` or `EProp()` (whose filter for a
            leaky read-out is off, since the read-outs here have no state).

    Raises:
        TypeError: `base` is no such rule, or `key` no key.

    Source: Kaiser, Mostafa, Neftci, "Synaptic Plasticity Dynamics for Deep Continuous Local Learning (DECOLLE)", 2020.
    There the read-outs see the spikes, and the past is that of `DiagonalRTRL` with a detached reset.
    """

    key: Array
    base: LocalRule = SLTT()

    def validate(self) -> None:
        """Raises TypeError unless `base` is a rule for single layers, and `key` a key."""
        check_key(self.key)
        check_type("base", self.base, LocalRule, "SLTT(), OTTT(), DiagonalRTRL() or EProp()")

    def first(
        self, objective: Objective, params: nnx.State, variables: nnx.State, state: State, sample: Sample
    ) -> Carry:
        """The state, the zeros of the base rule, and the read-outs."""

        def shapes() -> tuple[RuleMemory, Array, dict[str, Array]]:
            step = OnlineStep(self.base, {}, local=True)
            y, _, _ = objective.forward(params, variables, state, sample.x, step)
            return step.after, y, {path: s for path, (s, passed_on) in step.outputs.items() if passed_on is not y}

        memory, y, hidden = jax.eval_shape(shapes)
        readouts = {}
        for i, (name, s) in enumerate(hidden.items()):
            inputs, outputs = math.prod(s.shape[1:]), math.prod(y.shape[1:])
            weights = jax.random.normal(jax.random.fold_in(self.key, i), (inputs, outputs), y.dtype)
            readouts[name] = weights / math.sqrt(inputs)
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), memory)
        return Carry(state, (zeros, readouts))

    def advance(
        self, objective: Objective, params: nnx.State, variables: nnx.State, carry: Carry, sample: Sample
    ) -> Advance:
        """The gradient of the sum of all losses of one step."""
        memory, readouts = carry.memory

        def value(params: nnx.State) -> tuple[Array, tuple[Array, nnx.State, Carry]]:
            step = OnlineStep(self.base, memory, local=True)
            y, state, after = objective.forward(params, variables, carry.state, sample.x, step)
            of_network = objective.value(
                next((s for s, passed_on in step.outputs.values() if passed_on is y), y), sample.target
            )
            total = of_network
            for path, weights in readouts.items():
                s = step.outputs[path][0]
                of_layer = s.reshape(s.shape[0], -1).astype(weights.dtype) @ weights
                total += objective.value(of_layer.reshape(y.shape), sample.target)
            return total, (of_network, after, Carry(state, (lax.stop_gradient(step.after), readouts)))

        (_, (of_network, after, last)), grads = jax.value_and_grad(value, has_aux=True)(params)
        return Advance(after, last, of_network, grads)
