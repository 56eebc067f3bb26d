"""Predictions of a converted network after every step, in constant memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import ArrayLike

from spikejax.checks import check_integer
from spikejax.convert.offset import calibrate_offset
from spikejax.nn.pure import PureModule
from spikejax.scan import run
from spikejax.typing import Array, Network, State

IN_CACHE = (20, 2)
"""Samples and steps computed at once on a CPU: few, so that membranes and spikes stay in the cache."""
ON_DEVICE = (500, 10)
"""Samples and steps computed at once elsewhere."""


def _default_sizes() -> tuple[int, int]:
    """Samples and steps to compute at once, as measured on each kind of device."""
    return IN_CACHE if jax.default_backend() == "cpu" else ON_DEVICE


class Prediction(NamedTuple):
    """The result of `predict`.

    Attributes:
        classes: the class predicted after each step `[T, N]`, that with the largest sum of outputs so far.
        margin: its mean output less that of the next class `[T, N]`.
        decided: step, from 1, at which the margin first reaches `confidence` `[N]`; T where it never does.
        outputs: mean output over all steps `[N, classes]`.
    """

    classes: Array
    margin: Array
    decided: Array
    outputs: Array

    def early(self) -> Array:
        """The class predicted at the step of the decision `[N]`."""
        return jnp.take_along_axis(self.classes, self.decided[None] - 1, axis=0)[0]


def predict(
    net: Network,
    x: ArrayLike,
    steps: int,
    *,
    confidence: float = jnp.inf,
    chunk: int | None = None,
    key: Array | None = None,
    state: State = None,
) -> Prediction:
    """Predicts the classes of static inputs after each of many steps, from the sums of the outputs so far.

    Args:
        net: a network whose output is one value a class.
        x: inputs `[N, *]`, shown at every step.
        steps: number of steps T.
        confidence: margin of the mean output at which a sample counts as decided. Hardware may stop there; here all
            samples of the batch go on to step T.
        chunk: number of steps computed at once; memory grows with it, not with T. None takes 2 on a CPU, 10 elsewhere.
        key: random key, for networks with random numbers, such as those of a `Poisson` encoder.
        state: state to start from, such as that of `calibrate_offset`; None starts from `net.init_state`.

    Raises:
        ValueError: `steps` or `chunk` is < 1, or the output is not `[N, classes]` with at least two classes.
    """
    x, chunk = jnp.asarray(x), _default_sizes()[1] if chunk is None else chunk
    check_integer("steps", steps)
    check_integer("chunk", chunk)
    if state is None:
        state = net.init_state(x.shape, jnp.promote_types(x.dtype, jnp.float32), key=key)
    module = PureModule(net)

    def run_steps(state: State, count: int) -> tuple[State, Array]:
        return run(module.bind(), x, state, steps=count)

    shape = jax.eval_shape(lambda: run_steps(state, 1)[1]).shape
    if len(shape) != 3 or shape[-1] < 2:
        raise ValueError(f"`net` must put out [N, classes], two classes at least, got {shape[1:]}")

    def advance(carry: _Carry, count: int) -> tuple[_Carry, tuple[Array, Array]]:
        state, ys = run_steps(carry.state, count)
        sums = carry.total + jnp.cumsum(ys, axis=0)
        means = sums / (carry.steps + 1 + jnp.arange(count))[:, None, None]
        first, second = jnp.moveaxis(lax.top_k(means, 2)[0], -1, 0)
        return _Carry(state, sums[-1], carry.steps + count), (jnp.argmax(sums, axis=-1), first - second)

    chunk = min(chunk, steps)
    chunks, rest_steps = divmod(steps, chunk)
    carry = _Carry(state, jnp.zeros(shape[1:]), jnp.int32(0))
    carry, parts = lax.scan(lambda carry, _: advance(carry, chunk), carry, None, length=chunks)
    classes, margin = (part.reshape(-1, *part.shape[2:]) for part in parts)
    if rest_steps:
        carry, last = advance(carry, rest_steps)
        classes, margin = (jnp.concatenate(part) for part in zip((classes, margin), last, strict=True))
    is_sure = margin >= confidence
    decided = jnp.where(is_sure.any(0), jnp.argmax(is_sure, axis=0) + 1, steps)
    return Prediction(classes, margin, decided, carry.total / steps)


class _Carry(NamedTuple):
    """State of the network, sum of its outputs, and number of steps, so far."""

    state: State
    total: Array
    steps: Array


def accuracy_over_time(
    net: Network,
    x: ArrayLike,
    labels: ArrayLike,
    steps: int,
    *,
    batch_size: int | None = None,
    chunk: int | None = None,
    key: Array | None = None,
    calibrated: bool = False,
) -> Array:
    """Share of samples classified correctly after each step `[T]`, in one pass over the samples.

    Args:
        net: a network whose output is one value a class.
        x: samples `[n, *]`, each shown at every step.
        labels: their classes `[n]`.
        steps: number of steps T.
        batch_size: number of samples computed at once; None takes 20 on a CPU, whose cache holds the membranes of few,
            and 500 elsewhere.
        chunk: number of steps computed at once; None takes 2 on a CPU, 10 elsewhere.
        key: random key, for networks with random numbers, such as those of a `Poisson` encoder.
        calibrated: True starts each batch from the state of `calibrate_offset` for all steps.

    Raises:
        ValueError: as `predict`, or there are not as many labels as samples.
    """
    x, labels = jnp.asarray(x), jnp.asarray(labels)
    if len(x) != len(labels) or not len(x):
        raise ValueError(f"`x` and `labels` must have as many samples, at least one, got {len(x)} and {len(labels)}")
    module = PureModule(net)
    batch_size = _default_sizes()[0] if batch_size is None else batch_size

    @jax.jit
    def count_correct(params: nnx.State, variables: nnx.State, x: Array, labels: Array, key: Array | None) -> Array:
        net = module.bind(params, variables)
        state = calibrate_offset(net, x, steps, key=key) if calibrated else None
        prediction = predict(net, x, steps, chunk=chunk, key=key, state=state)
        return jnp.sum(prediction.classes == labels, axis=1)

    total = jnp.zeros(steps)
    for i, start in enumerate(range(0, len(x), batch_size)):
        batch_key = None if key is None else jax.random.fold_in(key, i)
        batch = slice(start, start + batch_size)
        total = total + count_correct(module.params, module.variables, x[batch], labels[batch], batch_key)
    return total / len(x)
