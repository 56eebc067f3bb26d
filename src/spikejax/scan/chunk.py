"""One chunk of time: the way of each kind of layer through it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from spikejax.kernels import fused, why_not_fused
from spikejax.scan.associative import check_linear, name_of, scan_linear
from spikejax.scan.lengths import freeze, is_shared, last_alive, reverse, silence
from spikejax.scan.plan import Plan
from spikejax.scan.probes import Probes
from spikejax.sequence import Sequence, Steps, is_sequence
from spikejax.typing import Array, Cell, LayerVisitor, ParallelCell, Path, PureNetwork, PyTree, State, Stateless


class ChunkRunner(LayerVisitor):
    """Takes the layers of a network through one chunk; lives while the chunk is traced.

    Args:
        plan: the plan of the run.
        probes: records and perturbations.
        start: index of the chunk's first step.
        lengths: valid steps of each sequence `[N]`, or None.
    """

    def __init__(
        self, plan: Plan, probes: Probes | None = None, start: int | Array = 0, lengths: Array | None = None
    ) -> None:
        self.plan, self.start, self.lengths = plan, start, lengths
        self.probes = Probes() if probes is None else probes

    def stateless(self, path: Path, layer: Stateless, *inputs: Sequence) -> Sequence:
        """All steps at once."""
        inputs = self.probes.perturbed(path, "input", *inputs)
        (ys,) = self.probes.perturbed(path, "output", layer.over_time(*inputs))
        self.probes.observe(path, "input", *inputs)
        self.probes.observe(path, "output", ys)
        return ys

    def cell(self, path: Path, cell: Cell, state: State, xs: Sequence) -> tuple[State, Sequence]:
        """The cell's own way over many steps, the way that the plan names, or step by step."""
        (xs,) = self.probes.perturbed(path, "input", xs)
        state, ys = self._over_time(path, cell, state, xs)
        (ys,) = self.probes.perturbed(path, "spikes", ys)
        self.probes.observe(path, "input", xs)
        self.probes.observe(path, "spikes", ys)
        return state, ys

    def loop(self, path: Path, network: PureNetwork, state: State, inputs: PyTree) -> tuple[State, PyTree]:
        """One step after another through a part of a network, recording inside."""
        sequences, structure = jax.tree.flatten(inputs, is_leaf=is_sequence)
        step_plan, steps = replace(self.plan, chunk=1), sequences[0].steps

        def step(carry: PyTree, t: Array, rows: tuple[list[Array | None], dict[str, Array]]) -> tuple[Any, Any]:
            variables, old = carry
            start, perturb = self.start + t, {name: a[None] for name, a in rows[1].items()}
            runner = ChunkRunner(step_plan, Probes(self.probes.record, perturb), start, self.lengths)
            now = [xs.single(row) for xs, row in zip(sequences, rows[0], strict=True)]
            variables, new, ys = network.propagate(variables, old, structure.unflatten(now), runner, path)
            if self.lengths is not None:
                new = freeze(start < self.lengths, new, old)
            self.probes.join(runner.probes)
            outputs = jax.tree.map(lambda y: y.at(0), ys, is_leaf=is_sequence)
            return (variables, new), (outputs, jax.tree.map(lambda a: a[0], runner.probes.records))

        rows = [xs.rows for xs in sequences], dict(self.probes.perturb)
        carry, (ys, records) = Steps(jnp.arange(steps)).scan(step, (network.variables, state), rows)
        network.restore(carry[0])
        self.probes.records |= records
        return carry[1], jax.tree.map(Steps, ys)

    def reverse(self, path: Path, xs: Sequence) -> Sequence:
        """The last step of each sequence first; the steps after its end stay where they are."""
        plan = self.plan
        if plan.chunk < plan.steps:
            raise ValueError(
                f"layer {'.'.join(map(str, path))} starts at the end of the sequence, so it needs all {plan.steps} "
                f"steps in one chunk, got chunk={plan.chunk}: use chunk=None, and no loop around it"
            )
        return reverse(xs, self.lengths)

    def _over_time(self, path: Path, cell: Cell, state: State, xs: Sequence) -> tuple[State, Sequence]:
        """The steps of a cell by the fastest way that gives what is to be recorded."""
        alive = None if self.lengths is None else (self.start + jnp.arange(xs.steps))[:, None] < self.lengths
        fields = self.probes.state_fields(path, cell, state)
        if isinstance(cell, ParallelCell):
            limits = cell.limits()
            if limits.whole:
                return cell.steps(state, xs if alive is None else silence(xs, alive))
            limits.check(self.plan.steps)
            if not fields and (alive is None or is_shared(state)):
                return cell.steps(state, xs)
        if self.plan.method == "associative" and not isinstance(cell, ParallelCell):
            last, states, ys = scan_linear(check_linear(cell, path), state, xs, alive)
            records = {name: getattr(states, field) for name, field in fields.items()}
        elif _takes_fused(cell, self.plan.method, path):
            last, ys, records = self._fused(cell, state, xs, alive, fields)
        else:
            last, ys, records = _step_by_step(cell, state, xs, alive, fields)
        self.probes.observe_states(path, cell, state, records, xs)
        return last, Steps(ys)

    def _fused(
        self, cell: Cell, state: State, xs: Sequence, alive: Array | None, fields: Mapping[str, str]
    ) -> tuple[State, Array, dict[str, Any]]:
        """The last state, the outputs, and `fields` of every state, by the fused kernel."""
        xs = xs if alive is None else silence(xs, alive)
        store = self.lengths is not None or bool(fields)
        last, ys, states = fused(
            cell, state, xs, return_states=store, residuals=self.plan.residuals, backward=self.plan.backward
        )
        if self.lengths is not None:
            last = last_alive(self.lengths - self.start, state, states, last)
        return last, ys, {name: getattr(states, field) for name, field in fields.items()}


def _step_by_step(
    cell: Cell, state: State, xs: Sequence, alive: Array | None, fields: Mapping[str, str]
) -> tuple[State, Array, dict[str, Any]]:
    """The last state, the outputs, and `fields` of every state, by a loop over `cell.step`."""

    def step(state: State, x: Array, alive: Array | None) -> tuple[State, Any]:
        new, y = cell.step(state, x)
        if alive is not None:
            new = freeze(alive, new, state)
        return new, (y, {name: getattr(new, field) for name, field in fields.items()})

    state, (ys, records) = xs.scan(step, state, alive)
    return state, ys, records


def _takes_fused(cell: Cell, method: str, path: Path) -> bool:
    """True if `cell` goes through the fused kernel; raises ValueError where `method` asks for it in vain."""
    reason = why_not_fused(cell)
    if reason and method == "fused":
        raise ValueError(
            f"`method` 'fused' needs cells in charge, fire and reset, and {name_of(cell, path)} has no fused kernel: "
            f"{reason}; use method='auto' to run such cells step by step"
        )
    return method in ("auto", "fused") and not reason
