"""STDP modulated by a reward: at the next step, or by an eligibility trace."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from spikejax.checks import check_tau
from spikejax.nn import LinearMap
from spikejax.plasticity.rule import LearningLayer, SpikePairs, SpikeTraces, TraceRule, check_traces, decay
from spikejax.typing import Array, Shape, State


class RewardState(NamedTuple):
    """The state of `MSTDP`.

    Attributes:
        pre: trace of the input `[N, *]`.
        post: trace of the output `[N, *]`.
        pairs: factors of the last step, whose products are the eligibility that the next reward meets.
    """

    pre: Array
    post: Array
    pairs: SpikePairs


class EligibilityState(NamedTuple):
    """The state of `MSTDPET`.

    Attributes:
        pre: trace of the input `[N, *]`.
        post: trace of the output `[N, *]`.
        pairs: factors of the last step.
        eligibility: eligibility trace of every synapse in every sample `[N, *W]`.
    """

    pre: Array
    post: Array
    pairs: SpikePairs
    eligibility: Array


class RewardRule(TraceRule):
    """Base of the rules that a reward drives; its fields and traces are those of `MSTDP`."""

    tau_pre: float | Array = 20.0
    tau_post: float | Array = 20.0
    nearest: bool = False

    def validate(self) -> None:
        """Raises ValueError unless the time constants are > 0."""
        for name in ("tau_pre", "tau_post"):
            check_tau(name, getattr(self, name), gt=0)

    def pairs(self, state: SpikeTraces, pre: Array, post: Array) -> tuple[SpikeTraces, SpikePairs]:
        """The next traces; the input's trace with the output, and the input with the output's trace."""
        p = decay(state.pre, pre, jnp.exp(-1 / jnp.asarray(self.tau_pre)), self.nearest)
        q = decay(state.post, post, jnp.exp(-1 / jnp.asarray(self.tau_post)), self.nearest)
        return SpikeTraces(p, q), SpikePairs((p, post), (pre, q))

    def pairs_before(
        self, state: "RewardState | EligibilityState", pre: Array, post: Array
    ) -> tuple[SpikeTraces, SpikePairs, SpikePairs]:
        """The last traces, the factors one step before each step `[T, N, *]`, and those of the last one."""
        check_traces(state, pre, post)
        traces, pairs = self.pairs_over_time(SpikeTraces(state.pre, state.post), pre, post)
        earlier = jax.tree.map(lambda first, later: jnp.concatenate((first[None], later[:-1])), state.pairs, pairs)
        return traces, earlier, jax.tree.map(lambda a: a[-1], pairs)

    def step(
        self, state: State, layer: LearningLayer, pre: Array, post: Array, reward: Array | float = 0.0
    ) -> tuple[State, Array]:
        """One step in time: `pre`, `post` `[N, *]`, `reward` `[N]` or one for all samples."""
        return self.steps(state, layer, pre[None], post[None], jnp.asarray(reward)[None])

    def steps(
        self, state: State, layer: LearningLayer, pre: Array, post: Array, rewards: Array | float = 0.0
    ) -> tuple[State, Array]:
        """A whole sequence at once: `pre`, `post` `[T, N, *]`, `rewards` `[T, N]` or `[T]`."""
        raise NotImplementedError(f"{type(self).__name__} must define `steps(self, state, layer, pre, post, rewards)`")


class MSTDP(RewardRule):
    """STDP whose changes a reward allows, scales, or inverts: no reward, no change.

        p[t] = exp(-1/tau_pre) p[t-1] + pre[t]        q[t] = exp(-1/tau_post) q[t-1] + post[t]
        z[t] = f_post(W) post[t] p[t]^T - f_pre(W) q[t] pre[t]^T
        dW[t] = sum_n r[t] z[t-1]

    The reward of a step meets the eligibility of the step before. Sums over samples come last, so that each has a
    reward of its own, and no z `[N, *W]` is ever held: the rewards go into the values after the synapse.

    Args:
        tau_pre: time constant of the trace of the input, in steps, > 0.
        tau_post: time constant of the trace of the output, in steps, > 0.
        f_pre: strength by which an input spike after an output spike weakens: a number, an array that broadcasts to
            the weight, or a function of the weight.
        f_post: strength by which an output spike after an input spike strengthens; likewise.
        nearest: True counts only the nearest earlier spike.

    Raises:
        ValueError: a time constant is not > 0.

    Source: Florian, "Reinforcement learning through modulation of spike-timing-dependent synaptic plasticity", 2007,
    eqs. 10-14.

    SpikingJelly: `MSTDPLearner`, for dense layers one step at a time.
    """

    def init_state(self, layer: LearningLayer, shape: Shape, dtype: DTypeLike = jnp.float32) -> RewardState:
        """As `TraceRule.init_state`, with no eligibility for the first reward to meet."""
        traces: SpikeTraces = super().init_state(layer, shape, dtype)
        return RewardState(traces.pre, traces.post, _nothing(traces))

    def steps(
        self, state: RewardState, layer: LearningLayer, pre: Array, post: Array, rewards: Array | float = 0.0
    ) -> tuple[RewardState, Array]:
        """A whole sequence at once: `pre`, `post` `[T, N, *]`, `rewards` `[T, N]` or `[T]`."""
        traces, earlier, last = self.pairs_before(state, pre, post)
        rewarded = earlier.weighted(each_sample(rewards, *pre.shape[:2]))
        return RewardState(*traces, last), self.change(layer, rewarded)


class MSTDPET(RewardRule):
    """`MSTDP` with a memory: the reward meets a decaying trace of the eligibilities of all earlier steps.

        z as in MSTDP
        e[t] = exp(-1/tau_trace) e[t-1] + z[t-1] / tau_trace
        dW[t] = sum_n r[t] e[t]

    Over a whole sequence the sum is taken the other way round: each z meets the discounted sum of the rewards after it,
    so that only the last eligibility trace is ever held.

    Args:
        tau_pre: time constant of the trace of the input, in steps, > 0.
        tau_post: time constant of the trace of the output, in steps, > 0.
        f_pre: strength by which an input spike after an output spike weakens: a number, an array that broadcasts to
            the weight, or a function of the weight.
        f_post: strength by which an output spike after an input spike strengthens; likewise.
        nearest: True counts only the nearest earlier spike.
        tau_trace: time constant of the eligibility trace, in steps, > 0: the longer, the later a reward may come.

    Raises:
        ValueError: a time constant is not > 0.

    Source: Florian, "Reinforcement learning through modulation of spike-timing-dependent synaptic plasticity", 2007,
    eqs. 5-9.

    SpikingJelly: `MSTDPETLearner`, for one sample and dense layers, one step at a time.
    """

    tau_trace: float | Array = 20.0

    def validate(self) -> None:
        """Raises ValueError unless the time constants are > 0."""
        super().validate()
        check_tau("tau_trace", self.tau_trace, gt=0)

    def init_state(self, layer: LearningLayer, shape: Shape, dtype: DTypeLike = jnp.float32) -> EligibilityState:
        """As `MSTDP.init_state`, with an eligibility trace of 0."""
        traces: SpikeTraces = super().init_state(layer, shape, dtype)
        weight = LinearMap.of(layer).weight
        return EligibilityState(
            traces.pre, traces.post, _nothing(traces), jnp.zeros((shape[0], *weight.shape), weight.dtype)
        )

    def steps(
        self,
        state: EligibilityState,
        layer: LearningLayer,
        pre: Array,
        post: Array,
        rewards: Array | float = 0.0,
    ) -> tuple[EligibilityState, Array]:
        """A whole sequence at once: `pre`, `post` `[T, N, *]`, `rewards` `[T, N]` or `[T]`."""
        traces, earlier, last = self.pairs_before(state, pre, post)
        factor = jnp.exp(-1 / jnp.asarray(self.tau_trace, state.eligibility.dtype))

        def backwards(later: Array, reward: Array) -> tuple[Array, Array]:
            value = reward + factor * later
            return value, value

        rewards = each_sample(rewards, *pre.shape[:2])
        value, values = lax.scan(backwards, jnp.zeros_like(rewards[0]), rewards, reverse=True)
        change = self.change(layer, earlier.weighted(values / self.tau_trace))
        change += jnp.tensordot(factor * value, state.eligibility, 1)

        steps = pre.shape[0]
        share = factor ** jnp.arange(steps - 1, -1, -1) / self.tau_trace
        faded = earlier.weighted(jnp.broadcast_to(share[:, None], rewards.shape))
        each = jax.vmap(lambda pairs: self.change(layer, pairs), in_axes=1)  # sample by sample
        eligibility = factor**steps * state.eligibility + each(jax.tree.map(lambda a: a[:, :, None], faded))
        return EligibilityState(*traces, last, eligibility), change


def _nothing(traces: SpikeTraces) -> SpikePairs:
    """The pairs of no spikes, of the shape of these traces."""
    return jax.tree.map(jnp.zeros_like, SpikePairs((traces.pre, traces.post), (traces.pre, traces.post)))


def each_sample(rewards: Array | float, steps: int, batch: int) -> Array:
    """Rewards as `[T, N]`, from one a step and sample, one a step, or one for all.

    Raises:
        ValueError: `rewards` has another shape.
    """
    rewards = jnp.asarray(rewards, jnp.result_type(float, rewards))
    if rewards.shape not in ((), (steps,), (steps, batch)):
        raise ValueError(
            f"`rewards` must be one number, one a step ({steps},), or one a step and sample ({steps}, {batch}), got "
            f"shape {rewards.shape}"
        )
    return jnp.broadcast_to(rewards[:, None] if rewards.ndim == 1 else rewards, (steps, batch))
