"""Eligibility traces, and their filter before a leaky read-out."""

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient

from spikejax.cells import ChargeFireReset
from spikejax.checks import check_number
from spikejax.kernels.template import why_not_fused
from spikejax.plasticity.online.ottt import is_membrane, slope_of_membrane
from spikejax.plasticity.online.rtrl import DiagonalRTRL
from spikejax.plasticity.online.step import CellInput, OnlineStep
from spikejax.typing import Array, State


class EProp(DiagonalRTRL):
    """E-prop: eligibility traces, in which a spike does not reset the memory of the synapse.

        epsilon[t] = dh[t]/dh[t-1] epsilon[t-1] + dh[t]/dW      P of `DiagonalRTRL`, reset of the membrane detached
        e[t] = ds[t]/dh[t] epsilon[t]
        dL/dW = 1/T sum over t of dloss[t]/dv_out[t] W_out F_kappa(e)[t],   F(e)[t] = kappa F(e)[t-1] + e[t]

    The effect of a spike on slower variables, such as the threshold of `ALIF`, stays in the trace. The filter F stands
    where the spikes go through layers without a state to a leaky read-out without a threshold (`LeakyIntegrator`).
    Learning signals are those of the symmetric read-out. Memory is that of `DiagonalRTRL`, and K more before a
    read-out. Exact for one hidden layer of detached reset before such a read-out, without recurrence, if the layers
    between them are linear.

    Args:
        kappa: leak of the read-out, from 0 to 1; None takes it from the read-out at every step, mean over its units.

    Raises:
        ValueError: `kappa` is not from 0 to 1; in use, as `DiagonalRTRL`.

    Source: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein, Maass, "A solution to the learning dilemma for
    recurrent networks of spiking neurons", 2020, eq. 3 and 14, with the traces of ALIF from the Methods.
    """

    kappa: float | Array | None = None

    def validate(self) -> None:
        """Raises ValueError unless `kappa` is from 0 to 1."""
        if self.kappa is not None:
            check_number("kappa", self.kappa, ge=0, le=1)

    @staticmethod
    def jacobian_step(cell: ChargeFireReset, state: State, x: Array) -> tuple[State, Array]:
        """The step without the path from the spike to the membrane."""
        if why_not_fused(cell):
            return cell.step(state, x)
        cell = _attached(cell)
        h = cell.charged(state, x)
        s = cell.fire(h)
        through_spike, detached = cell.reset(h, s), cell.reset(h, stop_gradient(s))
        choose = lambda path, a, b: b if is_membrane(path) else a  # noqa: E731
        return jax.tree_util.tree_map_with_path(choose, through_spike, detached), s

    def arrive(self, step: OnlineStep, at: CellInput) -> None:
        """At a leaky read-out, filters the eligibilities of the cells below."""
        if step.local or not _is_readout(at.cell):
            return
        kappa = self.kappa
        if kappa is None:
            kappa = slope_of_membrane(lambda cell, state, x: cell.step(state, x)[0], at)
        for below in sorted(at.signal.cells & step.eligibilities.keys()):
            e = step.eligibilities[below]
            before = (step.before.get(below) or {}).get("output") or jax.tree.map(jnp.zeros_like, e)
            step.after[below]["output"] = jax.tree.map(lambda f, e: (kappa * (f + e)).astype(f.dtype), before, e)


def _is_readout(cell: object) -> bool:
    """True for a cell that shows its membrane and has no threshold."""
    wraps = isinstance(getattr(cell, "cell", None), ChargeFireReset)
    return isinstance(cell, ChargeFireReset) and not wraps and getattr(cell, "surrogate", None) is None


def _attached(cell: ChargeFireReset) -> ChargeFireReset:
    """The same neuron with gradients through its reset, also in the cells that it wraps."""
    inner = getattr(cell, "cell", None)
    if isinstance(inner, ChargeFireReset):
        return cell.replace(cell=_attached(inner))
    return cell.replace(detach_reset=False) if getattr(cell, "detach_reset", False) else cell
