"""The rule that remembers the influence of each weight on its neuron."""

import jax
from flax import nnx

from spikejax.cells import ChargeFireReset
from spikejax.kernels.template import floats, has_gradient, with_floats
from spikejax.plasticity.online.influence import (
    UnfollowedError,
    advance,
    attach,
    contract,
    is_elementwise,
    no_influence,
    parameters_before,
    parameters_of,
)
from spikejax.plasticity.online.rule import LocalRule
from spikejax.plasticity.online.step import CellInput, OnlineStep
from spikejax.pytree import Struct
from spikejax.typing import Array, State


class DiagonalRTRL(LocalRule):
    """Real-time recurrent learning inside each neuron: every synapse has its influence on the neuron's variables.

        P[t] = dF/dstate P[t-1] + dF/dW,   state[t], s[t] = F(state[t-1], I[t])
        dL/dW = 1/T sum over t of dloss[t]/dstate[t-1] P[t-1] + dloss[t]/dI[t] dI[t]/dW

    F is the cell's own step with its reset. Carried from step to step are K + 1 copies of the state, K the fan-in of a
    neuron, and one for each parameter of the cell and of the layers before it that acts on a neuron by one entry. Exact
    for one layer without recurrence, in the cell's parameters too; paths from neuron to neuron in time are left out.
    Between a linear layer and the cell there may be layers that do not join its columns, such as norms, pools, `Scale`
    and functions of each element.

    Raises:
        ValueError: in use, a parameter acts on a neuron in a way that this does not cover: through a layer that joins
            columns, as a kernel of a layer that `sx.nn.LinearMap` does not know, or by an axis of time.

    Source: Williams, Zipser, "A Learning Algorithm for Continually Running Fully Recurrent Neural Networks", 1989,
    without the terms between neurons, as Menick, Elsen, Evci, Osindero, Simonyan, Graves, "Practical Real Time
    Recurrent Learning with a Sparse Approximation", 2021 (SnAp-1), here without self-feedback.
    """

    def take(self, step: OnlineStep, at: CellInput) -> tuple[State, Array]:
        """The step, whose state and output see the parameters through their influences."""
        self.arrive(step, at)
        try:
            local = parameters_before(at.signal)
            if is_elementwise(at.cell, at.state, at.current):
                local |= parameters_of(at.cell, at.current)
            elif local or _has_parameters(at.cell):
                raise UnfollowedError(
                    f"the neurons of layer {at.path} ({type(at.cell).__name__}) are not independent of each other, in "
                    f"charge, fire and reset"
                )
        except UnfollowedError as error:
            raise self.refusal(f"before or in layer {at.path} ({type(at.cell).__name__}), {error}") from error
        if not local:
            return at.cell.step(at.state, at.current)
        memory = step.before.get(at.path) or {}
        before = memory.get("state") or no_influence(local, floats(at.state))
        theta = {name: parameter.theta for name, parameter in local.items()}
        after, of_output = advance(self.jacobian_step, at.cell, at.state, at.current, local, before)
        values = attach(contract, floats(at.state), theta, before)
        state, y = at.cell.step(with_floats(at.state, values), at.current)
        step.after[at.path] = {"state": after}
        step.eligibilities[at.path] = of_output
        if "output" in memory:
            y = attach(contract, [y], theta, memory["output"])[0]
        return state, y

    @staticmethod
    def jacobian_step(cell: ChargeFireReset, state: State, x: Array) -> tuple[State, Array]:
        """The step whose derivatives carry influences on."""
        return cell.step(state, x)

    def arrive(self, step: OnlineStep, at: CellInput) -> None:
        """Called before each cell is taken through the step; does nothing here."""


def _has_parameters(cell: object) -> bool:
    """True for a cell with arrays that are trained."""
    arrays = nnx.state(cell, nnx.Param) if isinstance(cell, nnx.Module) else cell if isinstance(cell, Struct) else ()
    return any(has_gradient(leaf) for leaf in jax.tree.leaves(arrays))
