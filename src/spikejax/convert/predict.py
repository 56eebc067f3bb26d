"""What a converted network says as time goes on: every step counted, in memory that does not grow with their number."""

from typing import Any, NamedTuple

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
"""Samples, and steps of them, computed at once on a CPU: few, so that membranes and spikes stay in the cache."""
ON_DEVICE = (500, 10)
"""The same elsewhere."""


def _at_once() -> tuple[int, int]:
    """Samples and steps to compute at once, as measured on each kind of device."""
    return IN_CACHE if jax.default_backend() == "cpu" else ON_DEVICE


class Prediction(NamedTuple):
    """What `predict` gives.

    Attributes:
        classes: the class said after each step `[T, N]`: the largest sum of outputs so far.
        margin: by how much its mean output leads the next one's `[T, N]`.
        decided: step, from 1, at which the margin has first reached `confidence` `[N]`; T where it never has.
        outputs: mean output over all steps `[N, classes]`.
    """

    classes: Array
    margin: Array
    decided: Array
    outputs: Array

    def early(self) -> Array:
        """The class said at the step of the decision `[N]`."""
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
    """Shows static inputs for many steps and says, after each, which class has most output so far.

    Args:
        net: a network whose output is one value a class.
        x: inputs `[N, *]`, shown at every step.
        steps: number of steps T.
        confidence: margin of the mean output at which a sample counts as decided; it costs no step there in hardware
            that stops. Steps go on here, for all samples of the batch.
        chunk: steps computed at once; memory grows with it, not with T. None takes 2 on a CPU, 10 elsewhere.
        key: for networks that draw, as with a `Poisson` encoder.
        state: state to start from, such as `calibrate_offset` gives; None starts from `net.init_state`.

    Raises:
        ValueError: `steps` or `chunk` is < 1, or the output is not `[N, classes]` with at least two classes.
    """
    x, chunk = jnp.asarray(x), _at_once()[1] if chunk is None else chunk
    check_integer("steps", steps)
    check_integer("chunk", chunk)
    if state is None:
        state = net.init_state(x.shape, jnp.promote_types(x.dtype, jnp.float32), key=key)
    module = PureModule(net)

    def some(carry: Any, count: int) -> Any:
        state, total, done = carry
        state, ys = run(module.bind(), x, state, steps=count)
        sums = total + jnp.cumsum(ys, axis=0)
        means = sums / (done + 1 + jnp.arange(count))[:, None, None]
        top = lax.top_k(means, 2)[0]
        said = jnp.argmax(sums, axis=-1), top[..., 0] - top[..., 1]
        return (state, sums[-1], done + count), said

    shape = jax.eval_shape(lambda: run(module.bind(), x, state, steps=1)[1]).shape
    if len(shape) != 3 or shape[-1] < 2:
        raise ValueError(f"`net` must put out [N, classes], two classes at least, got {shape[1:]}")
    carry, parts = (state, jnp.zeros(shape[1:]), 0), []
    whole, left = divmod(steps, min(chunk, steps))
    carry, said = lax.scan(lambda carry, _: some(carry, min(chunk, steps)), carry, None, length=whole)
    parts.append(jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), said))
    if left:
        carry, said = some(carry, left)
        parts.append(said)
    classes, margin = (jnp.concatenate(part) for part in zip(*parts, strict=True))
    sure = margin >= confidence
    decided = jnp.where(sure.any(0), jnp.argmax(sure, axis=0) + 1, steps)
    return Prediction(classes, margin, decided, carry[1] / steps)


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
    """Share of samples classified right after each step `[T]`, in one pass over the samples.

    Args:
        net: a network whose output is one value a class.
        x: samples `[n, *]`, each shown at every step.
        labels: their classes `[n]`.
        steps: number of steps T.
        batch_size: samples that go through at once; None takes 20 on a CPU, where the membranes of more would leave the
            cache, and 500 elsewhere.
        chunk: steps computed at once; None takes 2 on a CPU, 10 elsewhere.
        key: for networks that draw, as with a `Poisson` encoder.
        calibrated: True starts each batch from what `calibrate_offset` gives for all steps.

    Raises:
        ValueError: as `predict`, or there are not as many labels as samples.
    """
    x, labels = jnp.asarray(x), jnp.asarray(labels)
    if len(x) != len(labels) or not len(x):
        raise ValueError(f"`x` and `labels` must have as many samples, at least one, got {len(x)} and {len(labels)}")
    module = PureModule(net)
    batch_size = _at_once()[0] if batch_size is None else batch_size

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
