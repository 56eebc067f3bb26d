"""The jitted inner loop: many batches in one call, data and parameters on the device."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax
from jax.typing import ArrayLike

from spikejax.checks import check_integer
from spikejax.losses import firing_rate, mse_rate
from spikejax.nn import Container
from spikejax.nn.pure import PureModule
from spikejax.scan import run
from spikejax.typing import Array


class Totals(NamedTuple):
    """Sums over the samples seen; divide by `samples` for means.

    Attributes:
        loss: sum of the loss, each batch weighted by its samples.
        correct: samples classified rightly.
        samples: number of them.
    """

    loss: Array
    correct: Array
    samples: Array

    @classmethod
    def zero(cls) -> "Totals":
        """Nothing seen yet."""
        return cls(jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))

    def means(self) -> tuple[float, float]:
        """Mean loss, and accuracy in [0, 1]; nan before the first sample."""
        count = int(self.samples)
        return (float(self.loss) / count, int(self.correct) / count) if count else (float("nan"), float("nan"))


class TrainState(NamedTuple):
    """All that training changes: saved and restored as a whole.

    Attributes:
        step: batches trained so far.
        params: `nnx.Param`s of the network.
        variables: its other variables, such as running statistics.
        opt_state: state of the optimizer.
        totals: sums over the present epoch.
    """

    step: Array
    params: Any
    variables: Any
    opt_state: optax.OptState
    totals: Totals


class Trainer:
    """Trains a network to classify static samples by its firing rates.

    The order of the samples and every random draw follow from `seed` and the step alone, so that an interrupted
    training continues exactly as it would have gone on.

    Args:
        net: network of `spikejax.nn`, from a batch of samples to class spikes.
        optimizer: an optax optimizer.
        steps: time steps T for which each sample is shown.
        batch_size: samples a batch; the rest of an epoch waits for the next shuffle.
        loss: `loss(outs [T, N, C], labels [N])`, a mean over the batch.
        scale: value of full intensity; samples are divided by it.
        chunk: as in `spikejax.run`.
        remat: as in `spikejax.run`.
        seed: seed of shuffling and of random cells.

    Raises:
        ValueError: `steps` or `batch_size` is < 1.
    """

    def __init__(
        self,
        net: Container,
        optimizer: optax.GradientTransformation,
        *,
        steps: int,
        batch_size: int,
        loss: Callable[[Array, Array], Array] = mse_rate,
        scale: float = 1.0,
        chunk: int | None = None,
        remat: bool = False,
        seed: int = 0,
    ) -> None:
        for name, value in (("steps", steps), ("batch_size", batch_size)):
            check_integer(name, value)
        self.optimizer, self.loss, self.scale, self.batch_size = optimizer, loss, scale, batch_size
        self.run_options = {"steps": steps, "chunk": chunk, "remat": remat}
        self.key = jax.random.key(seed)
        net.train()
        self._train_net = PureModule(net)
        net.eval()
        self._eval_net = PureModule(net)
        self._order = jax.jit(self._shuffled, static_argnums=1)
        self._one_batch = jax.jit(self._train_batch, donate_argnums=0)
        self._many_batches = jax.jit(self._train_batches, donate_argnums=0)
        self.evaluate = jax.jit(self._evaluate)
        self.looped = net.profile(jax.default_backend()).slow_in_loop is None

    def init(self) -> TrainState:
        """The state before the first batch."""
        params, variables = jax.tree.map(jnp.copy, (self._train_net.params, self._train_net.variables))
        return TrainState(jnp.zeros((), jnp.int32), params, variables, self.optimizer.init(params), Totals.zero())

    def batches_per_epoch(self, samples: int) -> int:
        """Full batches in `samples`.

        Raises:
            ValueError: there is not one full batch.
        """
        if samples < self.batch_size:
            raise ValueError(f"`batch_size` must be <= the {samples} training samples, got {self.batch_size}")
        return samples // self.batch_size

    def network(self, state: TrainState) -> Any:
        """The network in eval mode, with the parameters of `state`."""
        return self._eval_net.bind(state.params, state.variables)

    def train(self, state: TrainState, x: Array, y: Array, batches: int) -> TrainState:
        """Trains the next `batches` batches of the present epoch; `state` is used up.

        They run in one call, in a loop on the device. Networks with convolutions on the CPU make a call a batch
        instead: XLA compiles a convolution's weight gradient to slow code inside a loop there (measured 70 times
        slower for 3x3 filters on 32 channels; jax-ml/jax#12868).

        Args:
            state: the state before.
            x: training samples `[n, *]`, on the device.
            y: their classes `[n]`.
            batches: number of batches, at most those left in the epoch.
        """
        order = self._order(state.step, x.shape[0])
        if self.looped:
            return self._many_batches(state, x, y, order, batches)
        for _ in range(batches):
            state = self._one_batch(state, x, y, order)
        return state

    def _shuffled(self, step: Array, samples: int) -> Array:
        """The order of the samples in the epoch of `step`."""
        epoch = step // self.batches_per_epoch(samples)
        return jax.random.permutation(jax.random.fold_in(jax.random.fold_in(self.key, 1), epoch), samples)

    def _train_batches(self, state: TrainState, x: Array, y: Array, order: Array, batches: ArrayLike) -> TrainState:
        return lax.fori_loop(0, batches, lambda _, state: self._train_batch(state, x, y, order), state)

    def _train_batch(self, state: TrainState, x: Array, y: Array, order: Array) -> TrainState:
        start = state.step % self.batches_per_epoch(x.shape[0]) * self.batch_size
        pick = lax.dynamic_slice_in_dim(order, start, self.batch_size)
        key = jax.random.fold_in(jax.random.fold_in(self.key, 2), state.step)
        objective = jax.value_and_grad(self._forward, argnums=1, has_aux=True)
        (loss, (variables, correct)), grads = objective(
            self._train_net, state.params, state.variables, x[pick], y[pick], key
        )
        updates, opt_state = self.optimizer.update(grads, state.opt_state, state.params)
        totals = _add(state.totals, loss, correct, self.batch_size)
        params = optax.apply_updates(state.params, updates)
        return TrainState(state.step + 1, params, variables, opt_state, totals)

    def _evaluate(self, state: TrainState, x: Array, y: Array) -> Totals:
        """Loss and accuracy of the network in eval mode on all of `x` `[n, *]`, `y` `[n]`."""
        size = min(x.shape[0], max(self.batch_size, 256))
        count, rest = divmod(x.shape[0], size)

        def one_batch(totals: Totals, inputs: tuple[Array, Array, Array]) -> tuple[Totals, None]:
            x, y, index = inputs
            key = jax.random.fold_in(jax.random.fold_in(self.key, 3), index)
            loss, (_, correct) = self._forward(self._eval_net, state.params, state.variables, x, y, key)
            return _add(totals, loss, correct, x.shape[0]), None

        whole = count * size
        parts = (x[:whole].reshape(count, size, *x.shape[1:]), y[:whole].reshape(count, size), jnp.arange(count))
        totals, _ = lax.scan(one_batch, Totals.zero(), parts)
        if rest:
            totals, _ = one_batch(totals, (x[whole:], y[whole:], jnp.asarray(count)))
        return totals

    def _forward(
        self, net: PureModule, params: nnx.State, variables: nnx.State, x: Array, y: Array, key: Array
    ) -> tuple[Array, tuple[nnx.State, Array]]:
        """Loss of one batch, with the variables after it and the number of right answers."""
        x = x.astype(jnp.float32) / self.scale
        outputs = lambda net: run(net, x, net.init_state(x.shape, key=key), **self.run_options)[1]  # noqa: E731
        variables, outs = net.call(outputs, params, variables)
        correct = jnp.sum(firing_rate(outs).argmax(-1) == y)
        return self.loss(outs, y), (variables, correct)


def _add(totals: Totals, loss: Array, correct: Array, count: int) -> Totals:
    return Totals(totals.loss + loss * count, totals.correct + correct, totals.samples + count)
