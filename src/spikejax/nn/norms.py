"""Normalisation of a layer's currents over time; see also `nnx.BatchNorm`, which works unchanged."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.checks import check_elements, check_integer, check_number
from spikejax.encoding import StepIndex
from spikejax.sequence import Sequence, Steps, apply_at_once
from spikejax.typing import Array, ParallelCell, Shape, StepLimits


class ThresholdDependentBatchNorm(nnx.BatchNorm):
    """BatchNorm that begins at the scale of the neurons' threshold (tdBN).

        y = scale (x - mean) / sqrt(var + epsilon) + bias        scale begins at alpha v_threshold

    All else is `nnx.BatchNorm`: statistics over the time steps and samples of a chunk, folding at export, conversion.

    Args:
        num_features: channels, the last axis of the input.
        alpha: factor, > 0; the paper takes 1, and 1 / sqrt(2) where a residual branch is added.
        v_threshold: threshold of the neurons behind it, > 0.
        rngs: as for `nnx.BatchNorm`.
        **options: the other arguments of `nnx.BatchNorm`, `scale_init` and `use_scale` apart.

    Raises:
        ValueError: `alpha` or `v_threshold` is not > 0.

    Source: Zheng, Wu, Deng, Hu and Li, "Going Deeper With Directly-Trained Larger Spiking Neural Networks",
    2021.
    """

    def __init__(
        self, num_features: int, alpha: float = 1.0, v_threshold: float = 1.0, *, rngs: nnx.Rngs, **options: Any
    ) -> None:
        for name, value in (("alpha", alpha), ("v_threshold", v_threshold)):
            check_number(name, value, gt=0)
        super().__init__(num_features, scale_init=nnx.initializers.constant(alpha * v_threshold), rngs=rngs, **options)


class _EachStep(nnx.Module, ParallelCell):
    """Base of cells with parameters of their own for each of T steps."""

    T: int

    def limits(self) -> StepLimits:
        """At most T steps."""
        return StepLimits(most=self.T, reason=f"{type(self).__name__} has parameters for T = {self.T} steps")

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> StepIndex:
        """Step 0; the arguments are not needed."""
        return StepIndex(jnp.zeros((), jnp.uint32))

    def step(self, state: StepIndex, x: Array) -> tuple[StepIndex, Array]:
        """One step, `x` `[N, *]`; beyond the last of T it gives NaN where it cannot raise."""
        state, ys = self.steps(state, Steps(jnp.asarray(x)[None]))
        return state, ys.at(0)

    def times(self, state: StepIndex, xs: Sequence) -> Array:
        """The indices of the steps of a chunk, checked where they are known."""
        limit = f"<= {self.T - xs.steps} before {xs.steps} of T = {self.T} steps"
        check_elements(
            "state.t", state.t, lambda t: t + xs.steps <= self.T, limit, "begin a new sequence with init_state"
        )
        return state.t + jnp.arange(xs.steps, dtype=jnp.uint32)

    def at(self, values: nnx.Variable, times: Array) -> Array:
        """The rows of `values` `[T, ...]` that belong to the steps, NaN beyond the last."""
        return values[...].at[times].get(mode="fill", fill_value=jnp.nan)


class TemporalEffectiveBatchNorm(_EachStep):
    """BatchNorm over time and batch, with a learnt factor for each step (TEBN).

        y[t] = factor[t] (scale (x[t] - mean) / sqrt(var + epsilon) + bias)        factor begins at 1

    A cell, whose state is the index of the step. In train mode the statistics are those of the steps seen together, as
    with `nnx.BatchNorm`, so that `run` takes all in one chunk unless told otherwise. A run may be shorter than T.

    Args:
        num_features: channels, the last axis of the input.
        T: steps that have a factor, >= 1.
        rngs: as for `nnx.BatchNorm`.
        **options: the other arguments of `nnx.BatchNorm`.

    Raises:
        ValueError: `T` < 1, or it is run over more steps.

    Source: Duan, Ding, Chen, Yu and Huang, "Temporal Effective Batch Normalization in Spiking Neural Networks", 2022.
    """

    def __init__(self, num_features: int, T: int, *, rngs: nnx.Rngs, **options: Any) -> None:
        check_integer("T", T)
        self.T = T
        self.norm = nnx.BatchNorm(num_features, rngs=rngs, **options)
        self.factor = nnx.Param(jnp.ones(T))

    def steps(self, state: StepIndex, xs: Sequence) -> tuple[StepIndex, Steps]:
        """Many steps at once."""
        times = self.times(state, xs)
        ys = apply_at_once(self.norm, xs).all()
        factor = self.at(self.factor, times).astype(ys.dtype)
        return StepIndex(times[-1] + 1), Steps(factor.reshape(-1, *(1,) * (ys.ndim - 1)) * ys)


class BatchNormThroughTime(_EachStep):
    """A BatchNorm of its own for each step, without bias (BNTT).

        y[t] = scale[t] (x[t] - mean[t]) / sqrt(var[t] + epsilon)        scale begins at 1

    A cell, whose state is the index of the step. As each step has its own statistics, in train mode as well, outputs do
    not depend on the chunk. A run may be shorter than T.

    Args:
        num_features: channels, the last axis of the input.
        T: steps that have parameters, >= 1.
        rngs: as for `nnx.BatchNorm`.
        **options: the other arguments of `nnx.BatchNorm`, `use_bias` and `use_scale` apart.

    Raises:
        ValueError: `T` < 1, or it is run over more steps.

    Source: Kim and Panda, "Revisiting Batch Normalization for Training Low-Latency Deep Spiking Neural Networks From
    Scratch", 2021.
    """

    def __init__(
        self, num_features: int, T: int, *, use_running_average: bool = False, rngs: nnx.Rngs, **options: Any
    ) -> None:
        check_integer("T", T)
        self.T = T
        self.use_running_average = use_running_average
        norm = nnx.BatchNorm(num_features, use_bias=False, rngs=rngs, **options)
        self.graph, variables = nnx.split(norm)
        each = jax.tree.map(lambda a: jnp.broadcast_to(a, (T, *a.shape)), nnx.to_pure_dict(variables))
        self.scale = nnx.Param(each["scale"])
        self.mean, self.var = nnx.BatchStat(each["mean"]), nnx.BatchStat(each["var"])

    def steps(self, state: StepIndex, xs: Sequence) -> tuple[StepIndex, Steps]:
        """Many steps at once."""
        times = self.times(state, xs)

        def one(scale: Array, mean: Array, var: Array, x: Array) -> tuple[Array, Array, Array]:
            own = {"scale": nnx.Param(scale), "mean": nnx.BatchStat(mean), "var": nnx.BatchStat(var)}
            norm = nnx.merge(self.graph, nnx.State(own))  # pyright: ignore[reportCallIssue]
            y = norm(x, use_running_average=self.use_running_average)
            return y, norm.mean[...], norm.var[...]

        scale, mean, var = (self.at(variable, times) for variable in (self.scale, self.mean, self.var))
        ys, mean, var = jax.vmap(one, (0, 0, 0, xs.time_axis))(scale, mean, var, xs.data)
        if not self.use_running_average:
            self.mean[...] = self.mean[...].at[times].set(mean, mode="drop")
            self.var[...] = self.var[...].at[times].set(var, mode="drop")
        return StepIndex(times[-1] + 1), Steps(ys)
