"""Surplus and missing spikes: measured in a first pass, and corrected by the initial membranes."""

from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike

from spikejax.checks import check_integer
from spikejax.scan import run
from spikejax.sequence import Sequence, Static, Steps
from spikejax.typing import Array, Cell, LayerVisitor, Network, Path, PureNetwork, State, Stateless

MARGIN = 1e-3
"""Distance of a shifted membrane from the threshold, as a share of the threshold."""


def calibrate_offset(net: Network, x: ArrayLike, steps: int, *, rounds: int = 1, key: Array | None = None) -> State:
    """An initial state that corrects the errors of uneven spike trains, for `run(net, x, state, steps=steps)`.

    Layer by layer, the neurons run over `steps` steps of their input. The rest on their membranes tells which of them
    have fired once too often, and which once too seldom; the initial membranes of these are lowered or raised until
    they fire once less or more, and their spikes are the input of the next layer.

        left = v[0] + sum of x - v_threshold sum of s
        left < 0, with a spike:    v[0] falls by max(v_threshold, least h of a spike - v_threshold + margin)
        left >= v_threshold:       v[0] rises by max(v_threshold, v_threshold - largest h without one + margin)

    It takes the time of `1 + rounds` simulations, and holds for these inputs only: repeat it for every batch.

    Args:
        net: a converted network, its neurons with soft reset.
        x: inputs `[N, *]`, shown at every step.
        steps: number of steps, those of the simulation to come.
        rounds: number of corrections of each layer, by one spike each.
        key: random key, for networks with random numbers, such as those of a `Poisson` encoder; the state holds it, so
            the simulation draws the same numbers.

    Raises:
        ValueError: `steps` or `rounds` is < 1.

    Source: Hao et al., "Bridging the gap between ANNs and SNNs by calibrating offset spikes", 2023, section 4.
    """
    check_integer("steps", steps)
    check_integer("rounds", rounds)
    x = jnp.asarray(x)

    state = net.init_state(x.shape, jnp.promote_types(x.dtype, jnp.float32), key=key)
    return net.propagate(state, Static(x, steps), _OffsetCalibration(rounds))[0]


class _OffsetCalibration(LayerVisitor):
    """Shifts where the membranes of each layer start, and gives the next layer the spikes after it."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds

    def cell(self, path: Path, cell: Cell, state: State, xs: Sequence) -> tuple[State, Sequence]:
        first = state
        for _ in range(self.rounds if hasattr(state, "v") else 0):
            state = state._replace(v=state.v + _shift(cell, first, state, xs))
        return state, Steps(run(cell, xs, state)[1])

    def stateless(self, path: Path, layer: Stateless, *inputs: Sequence) -> Sequence:
        return layer.over_time(*inputs)

    def loop(self, path: Path, network: PureNetwork, state: State, inputs: Any) -> tuple[State, Any]:
        raise ValueError(
            f"`net` cannot be calibrated, because the output of layers comes back to others in layer {_name(path)}: "
            f"calibrate a network without loops, such as `convert` makes"
        )

    def reverse(self, path: Path, xs: Sequence) -> Sequence:
        raise ValueError(
            f"`net` cannot be calibrated, because layer {_name(path)} reads the sequence from its end: calibrate a "
            f"network that reads forward, such as `convert` makes"
        )


def _name(path: Path) -> str:
    """The name of a layer in messages."""
    return ".".join(map(str, path))


def _shift(cell: Any, first: State, state: State, xs: Sequence) -> Array:
    """The correction of the initial membranes of `state`, 0 where they are right; `first` is the uncorrected state."""
    last, (spikes, recorded) = run(cell, xs, state, record=("membrane",))
    threshold = cell.v_threshold
    fired, h = spikes > 0, recorded["membrane"] + spikes * threshold
    least = jnp.where(fired, h, jnp.inf).min(0)
    largest = jnp.where(fired, -jnp.inf, h).max(0)
    lower = jnp.maximum(threshold, least - (1 - MARGIN) * threshold)
    higher = jnp.maximum(threshold, (1 + MARGIN) * threshold - largest)
    left = last.v - (state.v - first.v)
    too_often, too_seldom = (left < 0) & fired.any(0), (left >= threshold) & ~fired.all(0)
    return jnp.where(too_often, -lower, jnp.where(too_seldom, higher, 0.0)).astype(state.v.dtype)
