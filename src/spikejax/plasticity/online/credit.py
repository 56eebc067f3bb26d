"""Rules that differ in what a synapse remembers: nothing, its input, or its influence on the neuron."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient

from spikejax.cells import ChargeFireReset
from spikejax.kernels.template import floats, why_not_fused, with_floats
from spikejax.plasticity.online.influence import (
    advance,
    contract,
    is_elementwise,
    local_parameters,
    no_influence,
    reattach,
)
from spikejax.plasticity.online.linear import Product
from spikejax.plasticity.online.rule import LocalRule
from spikejax.plasticity.online.walk import Visit, Walk
from spikejax.pytree import check
from spikejax.typing import Array, State


class SLTT(LocalRule):
    """Spatial learning through time: the gradient of each step alone, with the past as a constant.

        dL/dW = 1/T sum over t of dloss[t]/dI[t] dI[t]/dW,   P = 0

    Nothing is kept. What a neuron's memory of earlier steps contributes is left out.

    Source: Meng, Xiao, Yan, Wang, Lin, Luo, "Towards Memory- and Time-Efficient Backpropagation for Training Spiking
    Neural Networks", 2023; without the random choice of steps of SLTT-K.
    """

    def visit(self, walk: Walk, at: Visit) -> tuple[State, Array]:
        """The step itself."""
        return at.cell.step(at.state, at.current)


class OTTT(LocalRule):
    """Online training through time: each input leaves a trace, the same for all neurons that it reaches.

        a[t] = lambda a[t-1] + x[t]
        dL/dW = 1/T sum over t of dloss[t]/dI[t] a[t]

    Kept are one trace an input `[N, *]` and one of 1 for the bias. Exact for one layer of neurons of one leak whose
    reset is soft and detached. Parameters of the cells get the gradient of the step alone.

    Args:
        leak: lambda, from 0 to 1; None takes it from the cell at every step: the slope of its charge in the membrane,
            mean over all neurons.

    Raises:
        ValueError: `leak` is not from 0 to 1, or None for a cell that is not in charge, fire and reset.

    Source: Xiao, Meng, Zhang, He, Lin, "Online Training Through Time for Spiking Neural Networks", 2022, its
    variant A with an update after the last step. There the traces are attached to the membrane; here to the current,
    which is the same in neurons with one variable.
    """

    leak: float | Array | None = None

    def validate(self) -> None:
        """Raises ValueError unless `leak` is from 0 to 1."""
        if self.leak is not None:
            check("leak", self.leak, lambda a: (a >= 0) & (a <= 1), "from 0 to 1")

    def visit(self, walk: Walk, at: Visit) -> tuple[State, Array]:
        """The step, whose current sees the weights through the traces."""
        if not at.synapses or not floats(at.state):
            return at.cell.step(at.state, at.current)
        leak = self._leak(at)
        before, after, current = walk.before.get(at.path), {}, at.current
        dtype = floats(at.state)[0].dtype
        for synapse in at.synapses:
            x = stop_gradient(synapse.x).astype(dtype)
            traces = before[synapse.name] if before else (jnp.zeros_like(x), jnp.zeros((), dtype))
            faded = jax.tree.map(lambda trace: (leak * trace).astype(trace.dtype), traces)
            theta = synapse.kernel, synapse.bias
            current = reattach(partial(_through, synapse.product()), current, theta, faded)
            after[synapse.name] = faded[0] + x, faded[1] + 1
        walk.after[at.path] = after
        return at.cell.step(at.state, current)

    def _leak(self, at: Visit) -> Array | float:
        if self.leak is not None:
            return self.leak
        reason = why_not_fused(at.cell)
        if reason:
            raise ValueError(f"`leak` must be given, because that of layer {at.path} cannot be derived: {reason}")
        return slope_of_membrane(lambda cell, state, x: cell.charged(state, x), at)


class DiagonalRTRL(LocalRule):
    """Real-time recurrent learning inside each neuron: every synapse keeps its influence on the neuron's variables.

        P[t] = dF/dstate P[t-1] + dF/dW,   state[t], s[t] = F(state[t-1], I[t])
        dL/dW = 1/T sum over t of dloss[t]/dstate[t-1] P[t-1] + dloss[t]/dI[t] dI[t]/dW

    F is the cell's own step with its reset. Kept are K + 1 copies of the state, K the fan-in of a neuron, and one for
    each parameter of the cell. Exact for one layer without recurrence, in the cell's parameters too; paths from
    neuron to neuron in time are left out.

    Source: Williams, Zipser, "A Learning Algorithm for Continually Running Fully Recurrent Neural Networks", 1989,
    without the terms between neurons, as Menick, Elsen, Evci, Osindero, Simonyan, Graves, "Practical Real Time
    Recurrent Learning with a Sparse Approximation", 2021 (SnAp-1), here without self-feedback.
    """

    def visit(self, walk: Walk, at: Visit) -> tuple[State, Array]:
        """The step, whose state and output see the parameters through their influences."""
        self.arrive(walk, at)
        if not is_elementwise(at.cell, at.state, at.current):
            return at.cell.step(at.state, at.current)
        local = local_parameters(at.cell, at.synapses, at.current)
        if not local:
            return at.cell.step(at.state, at.current)
        kept = walk.before.get(at.path) or {}
        before = kept.get("state") or no_influence(local, floats(at.state))
        theta = {name: parameter.theta for name, parameter in local.items()}
        after, of_output = advance(self.jacobian_step, at.cell, at.state, at.current, local, before)
        values = reattach(contract, floats(at.state), theta, before)
        state, y = at.cell.step(with_floats(at.state, values), at.current)
        walk.after[at.path] = {"state": after}
        walk.shared[at.path] = of_output
        if "output" in kept:
            y = reattach(contract, [y], theta, kept["output"])[0]
        return state, y

    @staticmethod
    def jacobian_step(cell: Any, state: State, x: Array) -> tuple[State, Array]:
        """The step whose derivatives carry influences on."""
        return cell.step(state, x)

    def arrive(self, walk: Walk, at: Visit) -> None:
        """What reaching this cell means for the one below."""


class EProp(DiagonalRTRL):
    """E-prop: eligibility traces, in which a spike does not reset what the synapse remembers.

        epsilon[t] = dh[t]/dh[t-1] epsilon[t-1] + dh[t]/dW      P of `DiagonalRTRL`, reset of the membrane detached
        e[t] = ds[t]/dh[t] epsilon[t]
        dL/dW = 1/T sum over t of dloss[t]/dv_out[t] W_out F_kappa(e)[t],   F(e)[t] = kappa F(e)[t-1] + e[t]

    What a spike adds to slower variables, such as the threshold of `ALIF`, stays in the trace. The filter F stands
    where the spikes go straight to a leaky read-out without a threshold (`LeakyIntegrator`). Learning signals are
    those of the symmetric read-out. Memory is that of `DiagonalRTRL`, and K more before a read-out. Exact for one
    hidden layer of detached reset before such a read-out, without recurrence.

    Args:
        kappa: leak of the read-out, from 0 to 1; None takes it from the read-out at every step, mean over its units.

    Raises:
        ValueError: `kappa` is not from 0 to 1.

    Source: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein, Maass, "A solution to the learning dilemma for
    recurrent networks of spiking neurons", 2020, eq. 3 and 14, with the traces of ALIF from the Methods.
    """

    kappa: float | Array | None = None

    def validate(self) -> None:
        """Raises ValueError unless `kappa` is from 0 to 1."""
        if self.kappa is not None:
            check("kappa", self.kappa, lambda a: (a >= 0) & (a <= 1), "from 0 to 1")

    @staticmethod
    def jacobian_step(cell: Any, state: State, x: Array) -> tuple[State, Array]:
        """The step without the way from the spike to the membrane."""
        if why_not_fused(cell):
            return cell.step(state, x)
        cell = _attached(cell)
        h = cell.charged(state, x)
        s = cell.fire(h)
        free, still = cell.reset(h, s), cell.reset(h, stop_gradient(s))
        return jax.tree_util.tree_map_with_path(lambda path, a, b: b if _is_membrane(path) else a, free, still), s

    def arrive(self, walk: Walk, at: Visit) -> None:
        """At a leaky read-out, filters the eligibilities of the cell below."""
        if walk.local or at.below not in walk.shared or not _is_readout(at.cell):
            return
        kappa = self.kappa
        if kappa is None:
            kappa = slope_of_membrane(lambda cell, state, x: cell.step(state, x)[0], at)
        e = walk.shared[at.below]
        before = (walk.before.get(at.below) or {}).get("output") or jax.tree.map(jnp.zeros_like, e)
        walk.after[at.below]["output"] = jax.tree.map(lambda f, e: (kappa * (f + e)).astype(f.dtype), before, e)


def slope_of_membrane(step: Callable[[Any, State, Array], State], at: Visit) -> Array:
    """The slope of `step` in the membrane, mean over all neurons; in the first variable where none is called v."""
    cell, current = stop_gradient(at.cell), stop_gradient(at.current)
    paths = [
        path for path, leaf in jax.tree_util.tree_leaves_with_path(at.state) if jnp.issubdtype(leaf.dtype, np.inexact)
    ]
    which = next((i for i, path in enumerate(paths) if _is_membrane(path)), 0)

    def by_floats(variables: list[Array]) -> Array:
        return floats(step(cell, with_floats(at.state, variables), current))[which]

    variables = floats(at.state)
    unit = [jnp.ones_like(leaf) if i == which else jnp.zeros_like(leaf) for i, leaf in enumerate(variables)]
    return jax.jvp(by_floats, (variables,), (unit,))[1].mean()


def _through(product: Product, traces: tuple[Array, Array], theta: tuple[Array, Array | None]) -> Array:
    """The current that a change of kernel and bias makes of the traces."""
    current = product(theta[0], traces[0])
    return current if theta[1] is None else current + theta[1] * traces[1]


def _is_readout(cell: Any) -> bool:
    """Whether a cell has a membrane that it shows, and no threshold."""
    wraps = isinstance(getattr(cell, "cell", None), ChargeFireReset)
    return isinstance(cell, ChargeFireReset) and not wraps and getattr(cell, "surrogate", None) is None


def _is_membrane(path: Any) -> bool:
    return jax.tree_util.keystr(path[-1:], simple=True) == "v"


def _attached(cell: ChargeFireReset) -> Any:
    """The same neuron with gradients through its reset, as deep as it lies."""
    inner = getattr(cell, "cell", None)
    if isinstance(inner, ChargeFireReset):
        return cell.replace(cell=_attached(inner))
    return cell.replace(detach_reset=False) if getattr(cell, "detach_reset", False) else cell
