"""Spiking recurrent networks with gates, LSTM and GRU, and the plain one without."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.lax import stop_gradient
from jax.typing import DTypeLike

from spikejax.cells.base import check_surrogate
from spikejax.checks import check_integer, check_number
from spikejax.encoding import RandomState
from spikejax.nn.branches import Parallel
from spikejax.nn.dropout import TimeInvariantDropout
from spikejax.nn.reversed import Reversed
from spikejax.nn.sequential import Sequential
from spikejax.surrogate import Erf
from spikejax.typing import Array, Shape, State, Surrogate


class RNNState(NamedTuple):
    """The state of `SpikingVanillaRNN` and `SpikingGRU`.

    Attributes:
        h: the last output `[N, H]`, 0 or 1.
    """

    h: Array


class LSTMState(NamedTuple):
    """The state of `SpikingLSTM`.

    Attributes:
        h: the last output `[N, H]`, 0 or 1.
        c: the memory `[N, H]`, 0 or 1.
    """

    h: Array
    c: Array


class _Gated(nnx.Module):
    """The part of a recurrent layer that runs over time; its input is W_x x + b_x of all gates, `[N, gates * H]`."""

    gates = 1
    start: type = RNNState

    def __init__(self, hidden: int, surrogates: tuple[Surrogate, Surrogate], linear: Callable[..., nnx.Linear]) -> None:
        self.recurrent = linear(hidden, self.gates * hidden)
        self.theta, self.candidate = surrogates

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        zeros = jnp.zeros((*shape[:-1], self.recurrent.in_features), dtype)
        return self.start(*(zeros for _ in self.start._fields))

    def step(self, state: State, x: Array) -> tuple[State, Array]:
        new = self.update(state, jnp.split(x, self.gates, -1), jnp.split(self.recurrent(state.h), self.gates, -1))
        new = jax.tree.map(lambda new, old: new.astype(old.dtype), new, state)
        return new, new.h.astype(x.dtype)

    def update(self, state: Any, x: list[Array], back: list[Array]) -> State:
        """The next state, from the parts of the input and of the feedback that belong to each gate."""
        raise NotImplementedError


class _Vanilla(_Gated):
    def update(self, state: RNNState, x: list[Array], back: list[Array]) -> RNNState:
        return RNNState(self.theta(x[0] + back[0]))


class _GRU(_Gated):
    gates = 3

    def update(self, state: RNNState, x: list[Array], back: list[Array]) -> RNNState:
        r, z = (self.theta(x[k] + back[k]) for k in range(2))
        n = self.candidate(x[2] + r * back[2])
        return RNNState((1 - z) * n + z * state.h)


class _LSTM(_Gated):
    gates = 4
    start = LSTMState

    def update(self, state: LSTMState, x: list[Array], back: list[Array]) -> LSTMState:
        i, f, g, o = (x[k] + back[k] for k in range(4))
        c = self.theta(f) * state.c + self.theta(i) * self.candidate(g)
        c = c + stop_gradient(jnp.minimum(c, 1) - c)
        return LSTMState(self.theta(o) * c, c)


class _Dropout(nnx.Module):
    """Dropout between layers: a cell that holds its key, and draws a mask anew at every step."""

    def __init__(self, rate: float) -> None:
        self.rate, self.deterministic = rate, False

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> RandomState:
        if key is None and not self.deterministic:
            raise ValueError(
                "`key` must be given, because `dropout` draws in train mode: pass "
                "state=net.init_state(shape, key=jax.random.key(0)) to run, or use net.eval()"
            )
        return RandomState(jax.random.key(0) if key is None else key, jnp.zeros((), jnp.uint32))

    def step(self, state: RandomState, x: Array) -> tuple[RandomState, Array]:
        new = state._replace(t=state.t + 1)
        if self.deterministic:
            return new, x
        mask = jax.random.bernoulli(jax.random.fold_in(state.key, state.t), 1 - self.rate, x.shape)
        return new, jnp.where(mask, x / (1 - self.rate), 0)


class _Layers(Sequential):
    """Layers of one kind of cell on top of each other, with dropout between them."""

    cell: type[_Gated]

    def __init__(
        self,
        in_features: int,
        hidden: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        dropout_fixed: bool = False,
        use_bias: bool = True,
        surrogate: Surrogate = Erf(),  # noqa: B008
        candidate_surrogate: Surrogate | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        for name, value in (("in_features", in_features), ("hidden", hidden), ("layers", layers)):
            check_integer(name, value)
        check_number("dropout", dropout, ge=0, lt=1)
        surrogates = _checked(surrogate, surrogate if candidate_surrogate is None else candidate_surrogate)
        bound = 1 / math.sqrt(hidden)

        def uniform(key: Array, shape: Shape, dtype: Any = jnp.float32, *_: Any, **__: Any) -> Array:
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        def linear(inputs: int, outputs: int) -> nnx.Linear:
            return nnx.Linear(inputs, outputs, use_bias=use_bias, kernel_init=uniform, bias_init=uniform, rngs=rngs)

        def direction(inputs: int) -> tuple[Any, Any]:
            return linear(inputs, self.cell.gates * hidden), self.cell(hidden, surrogates, linear)

        chain: list[Any] = []
        for k in range(layers):
            inputs = in_features if k == 0 else hidden * (2 if bidirectional else 1)
            if k and dropout:
                chain.append(TimeInvariantDropout(dropout) if dropout_fixed else _Dropout(dropout))
            one = Sequential(*direction(inputs))
            chain.append(Parallel(one, Reversed(*direction(inputs)), join="concatenate") if bidirectional else one)
        super().__init__(*chain)


def _checked(first: Surrogate, second: Surrogate) -> tuple[Surrogate, Surrogate]:
    for surrogate in (first, second):
        check_surrogate(surrogate)
    if getattr(first, "spiking", True) != getattr(second, "spiking", True):
        raise ValueError(
            f"`surrogate` and `candidate_surrogate` must both spike or both not, got {first!r} and {second!r}"
        )
    return first, second


class SpikingLSTM(_Layers):
    """Layers of long short-term memory whose gates, memory and output are spikes; itself a network.

        i, f, o = Theta(W_x x[t] + b_x + W_h h[t-1] + b_h)      each with its own W and b
        g = Theta_g(W_x x[t] + b_x + W_h h[t-1] + b_h)
        c[t] = min(1, f c[t-1] + i g)        h[t] = o c[t]        y[t] = h[t]

    W_x x is one product for all steps of a chunk; the loop over time holds W_h h alone. Gradients pass the minimum
    unchanged. Layer k + 1 sees what layer k puts out at the same step. Without dropout the state is a tuple with one
    entry a layer, of which `state[0][1]` is (h, c) of the first. Parameters start uniform within 1 / sqrt(H).

    Args:
        in_features: size of the last axis of the input.
        hidden: neurons H of a layer, in each direction.
        layers: layers on top of each other.
        bidirectional: True puts the outputs of a second cell, which reads from the end, beside those of the first:
            y `[T, N, 2 H]`. All steps then run in one chunk.
        dropout: share of what a layer puts out that the next does not see, in train mode; needs a state made with a
            key.
        dropout_fixed: True draws its mask once a sequence; False anew at every step.
        use_bias: whether there are b_x and b_h.
        surrogate: what gradients see of Theta.
        candidate_surrogate: what they see of Theta_g; None is `surrogate`.
        rngs: random streams for the initial parameters.

    Raises:
        ValueError: a size is < 1, `dropout` is not within [0, 1), or one surrogate spikes and the other does not.

    Source: Lotfi Rezaabad, Vishwanath, "Long Short-Term Memory Spiking Networks and Their Applications", 2020.
    SpikingJelly's documentation prints h[t] = o c[t-1]; its layers above the first see the step before.
    """

    cell = _LSTM


class SpikingGRU(_Layers):
    """Layers of gated recurrent units whose gates and output are spikes; itself a network.

        r, z = Theta(W_x x[t] + b_x + W_h h[t-1] + b_h)      each with its own W and b
        n = Theta_n(W_x x[t] + b_x + r (W_h h[t-1] + b_h))
        h[t] = (1 - z) n + z h[t-1]        y[t] = h[t]

    For everything else see `SpikingLSTM`; the state of a layer is (h,).

    Args:
        in_features: size of the last axis of the input.
        hidden: neurons H of a layer, in each direction.
        layers: layers on top of each other.
        bidirectional: as of `SpikingLSTM`, as are the following.
        dropout: share that the next layer does not see.
        dropout_fixed: whether its mask stays for a sequence.
        use_bias: whether there are b_x and b_h.
        surrogate: what gradients see of Theta.
        candidate_surrogate: what they see of Theta_n; None is `surrogate`.
        rngs: random streams for the initial parameters.

    Raises:
        ValueError: as `SpikingLSTM`.

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
    Translation", 2014, with every logistic function and tanh a step; SpikingJelly's `SpikingGRU`.
    """

    cell = _GRU


class SpikingVanillaRNN(_Layers):
    """Recurrent layers without a memory but the spikes themselves; itself a network.

        h[t] = Theta(W_x x[t] + b_x + W_h h[t-1] + b_h)        y[t] = h[t]

    For everything else see `SpikingLSTM`; the state of a layer is (h,).

    Args:
        in_features: size of the last axis of the input.
        hidden: neurons H of a layer, in each direction.
        layers: layers on top of each other.
        bidirectional: as of `SpikingLSTM`, as are the following.
        dropout: share that the next layer does not see.
        dropout_fixed: whether its mask stays for a sequence.
        use_bias: whether there are b_x and b_h.
        surrogate: what gradients see of Theta.
        rngs: random streams for the initial parameters.

    Raises:
        ValueError: as `SpikingLSTM`.

    Source: Elman, "Finding Structure in Time", 1990, with a step for the logistic function; SpikingJelly's
    `SpikingVanillaRNN`.
    """

    cell = _Vanilla

    def __init__(
        self,
        in_features: int,
        hidden: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        dropout_fixed: bool = False,
        use_bias: bool = True,
        surrogate: Surrogate = Erf(),  # noqa: B008
        rngs: nnx.Rngs,
    ) -> None:
        super().__init__(
            in_features,
            hidden,
            layers=layers,
            bidirectional=bidirectional,
            dropout=dropout,
            dropout_fixed=dropout_fixed,
            use_bias=use_bias,
            surrogate=surrogate,
            rngs=rngs,
        )
