"""Spike-timing-dependent plasticity: pairs and triplets of spikes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from spikejax.checks import check_number, check_tau
from spikejax.nn import LinearMap
from spikejax.plasticity.rule import LearningLayer, SpikePairs, SpikeTraces, TraceRule, check_traces, decay
from spikejax.typing import Array, Shape


class STDP(TraceRule):
    """A synapse grows where its input fires before its output, and shrinks where it fires after.

        p[t] = (1 - 1/tau_pre) p[t-1] + pre[t]        q[t] = (1 - 1/tau_post) q[t-1] + post[t]
        dW[t] = f_post(W) post[t] p[t]^T - f_pre(W) q[t] pre[t]^T

    With a number as `f_pre` and `f_post` it is additive; with `SoftBound` it is multiplicative and the weight stays
    within bounds; both negative make it anti-Hebbian. Spikes of one step strengthen and weaken alike.

    Args:
        tau_pre: time constant of the trace of the input, in steps, >= 1.
        tau_post: time constant of the trace of the output, in steps, >= 1.
        f_pre: strength by which an input spike after an output spike weakens: a number, an array that broadcasts to
            the weight, or a function of the weight.
        f_post: strength by which an output spike after an input spike strengthens; likewise.
        nearest: True counts only the nearest earlier spike (a trace is set to the spike), False all of them (it is
            added).

    Raises:
        ValueError: a time constant is < 1.

    Source: Morrison, Diesmann and Gerstner, "Phenomenological models of synaptic plasticity based on spike timing",
    2008, sections 4.1.1, 4.1.2.

    SpikingJelly: `STDPLearner`, where `f_pre` and `f_post` are the weight itself unless given.
    """

    tau_pre: float | Array = 20.0
    tau_post: float | Array = 20.0
    nearest: bool = False

    def validate(self) -> None:
        """Raises ValueError unless both time constants are >= 1."""
        check_tau("tau_pre", self.tau_pre, ge=1)
        check_tau("tau_post", self.tau_post, ge=1)

    def pairs(self, state: SpikeTraces, pre: Array, post: Array) -> tuple[SpikeTraces, SpikePairs]:
        """The next traces; the input's trace with the output, and the input with the output's trace."""
        p = decay(state.pre, pre, 1 - 1 / self.tau_pre, self.nearest)
        q = decay(state.post, post, 1 - 1 / self.tau_post, self.nearest)
        return SpikeTraces(p, q), SpikePairs((p, post), (pre, q))

    def steps(self, state: SpikeTraces, layer: LearningLayer, pre: Array, post: Array) -> tuple[SpikeTraces, Array]:
        """As `TraceRule.steps`, with one correlation instead of two where the strengths are numbers.

        A trace goes to the other side as one that runs backwards; so all is on the side with fewer values, here pre:

        sum_t pre[t] q[t] = sum_t b[t] post[t] + k b[0] q[-1],  b[t] = pre[t] + k b[t+1],  k = 1 - 1/tau_post
        """
        f_pre, f_post = self.f_pre, self.f_post
        if self.nearest or callable(f_pre) or callable(f_post) or jnp.ndim(f_pre) or jnp.ndim(f_post):
            return super().steps(state, layer, pre, post)
        check_traces(state, pre, post)
        linear, decay_pre, decay_post = LinearMap.of(layer), 1 - 1 / self.tau_pre, 1 - 1 / self.tau_post
        if pre[0].size < post[0].size:
            p, back, mixed = _both_ways(state.pre, pre, decay_pre, decay_post, f_post, -f_pre)
            change = linear.correlate_over_time(mixed, post) - f_pre * linear.correlate(decay_post * back, state.post)
            return SpikeTraces(p, _last(state.post, post, decay_post)), change
        q, back, mixed = _both_ways(state.post, post, decay_post, decay_pre, -f_pre, f_post)
        change = linear.correlate_over_time(pre, mixed) + f_post * linear.correlate(state.pre, decay_pre * back)
        return SpikeTraces(_last(state.pre, pre, decay_pre), q), change


def _both_ways(
    trace: Array,
    spikes: Array,
    factor: float | Array,
    factor_back: float | Array,
    gain: float | Array,
    gain_back: float | Array,
) -> tuple[Array, Array, Array]:
    """The last trace forwards, the first one backwards, and both with their gains at each step `[T, N, *]`."""

    def forwards(trace: Array, spikes: Array) -> tuple[Array, Array]:
        trace = decay(trace, spikes, factor, nearest=False)
        return trace, trace

    def backwards(back: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        spikes, trace = step
        back = decay(back, spikes, factor_back, nearest=False)
        return back, gain * trace + gain_back * back

    last, traces = lax.scan(forwards, trace, spikes)
    back, mixed = lax.scan(backwards, jnp.zeros_like(trace), (spikes, traces), reverse=True)
    return last, back, mixed


def _last(trace: Array, spikes: Array, factor: float | Array) -> Array:
    """The trace after the last step."""
    return lax.scan(lambda trace, spikes: (decay(trace, spikes, factor, nearest=False), None), trace, spikes)[0]


class TripletTraces(NamedTuple):
    """The state of `TripletSTDP`.

    Attributes:
        pre: fast trace r1 of the input `[N, *]`.
        post: fast trace o1 of the output `[N, *]`.
        slow_pre: slow trace r2 of the input.
        slow_post: slow trace o2 of the output.
    """

    pre: Array
    post: Array
    slow_pre: Array
    slow_post: Array


class TripletSTDP(TraceRule):
    """STDP by triplets of spikes, which grows with their rate as measured synapses do.

        r1, r2, o1, o2: traces of the input (r) and the output (o), as in `STDP`, with tau_plus, tau_x, tau_minus, tau_y
        dW[t] = f_post(W) post[t] (a2_plus + a3_plus o2[t-1]) r1[t]^T
                - f_pre(W) o1[t] (pre[t] (a2_minus + a3_minus r2[t-1]))^T

    The defaults are those fitted to the visual cortex, all to all, in steps of 1 ms; a3_minus = 0 makes it the minimal
    model, and a3_plus = a3_minus = 0 `STDP`.

    Args:
        tau_plus: time constant of r1 in steps, >= 1.
        tau_x: of r2.
        tau_minus: of o1.
        tau_y: of o2.
        a2_plus: growth by a pair.
        a3_plus: growth by a triplet of output, input, output.
        a2_minus: shrinking by a pair.
        a3_minus: shrinking by a triplet of input, output, input.
        nearest: True counts only the nearest earlier spikes.
        f_pre: a further factor of shrinking: a number, an array, or a function of the weight.
        f_post: a further factor of growth.

    Raises:
        ValueError: a time constant is < 1.

    Source: Pfister and Gerstner, "Triplets of spikes in a model of spike timing-dependent plasticity", 2006, eqs. 2-4
    and table 3.
    """

    tau_plus: float | Array = 16.8
    tau_x: float | Array = 101.0
    tau_minus: float | Array = 33.7
    tau_y: float | Array = 125.0
    a2_plus: float | Array = 5e-10
    a3_plus: float | Array = 6.2e-3
    a2_minus: float | Array = 7e-3
    a3_minus: float | Array = 2.3e-4
    nearest: bool = False

    def validate(self) -> None:
        """Raises ValueError unless every time constant is >= 1."""
        for name in ("tau_plus", "tau_x", "tau_minus", "tau_y"):
            check_tau(name, getattr(self, name), ge=1)
        for name in ("a2_plus", "a3_plus", "a2_minus", "a3_minus"):
            check_number(name, getattr(self, name))

    def init_state(self, layer: LearningLayer, shape: Shape, dtype: DTypeLike = jnp.float32) -> TripletTraces:
        """As `TraceRule.init_state`, a fast and a slow trace on either side."""
        fast = super().init_state(layer, shape, dtype)
        return TripletTraces(*fast, *jax.tree.map(jnp.zeros_like, fast))

    def pairs(self, state: TripletTraces, pre: Array, post: Array) -> tuple[TripletTraces, SpikePairs]:
        """The next traces; the fast ones with the spikes that the slow ones amplify."""
        taus = self.tau_plus, self.tau_minus, self.tau_x, self.tau_y
        new = TripletTraces(
            *(
                decay(trace, spikes, 1 - 1 / tau, self.nearest)
                for trace, spikes, tau in zip(state, (pre, post, pre, post), taus, strict=True)
            )
        )
        up = new.pre, post * (self.a2_plus + self.a3_plus * state.slow_post)
        down = pre * (self.a2_minus + self.a3_minus * state.slow_pre), new.post
        return new, SpikePairs(up, down)
