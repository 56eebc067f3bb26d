"""The implementation on JAX of plasticity: spikejax."""

from typing import Any

from _on_jax import OnJax
from _problems import Problem, spikes
from flax import nnx

from spikejax.plasticity import STDP
from spikejax.typing import Array


def learner(problem: Problem) -> OnJax:
    """A sequence at once; with `functions`, as for strengths that depend on the weight."""
    pre, post = spikes(problem), spikes(problem | {"shape": problem["after"]}, seed=2)
    inputs, outputs, rngs = pre.shape[-1], post.shape[-1], nnx.Rngs(0)
    dense = pre.ndim == 3
    layer = nnx.Linear(inputs, outputs, rngs=rngs) if dense else nnx.Conv(inputs, outputs, (3, 3), rngs=rngs)
    strength: Any = (lambda weight: 1.0) if problem.get("functions") else 1.0
    rule = STDP(2.0, 2.0, f_pre=strength, f_post=strength)

    def learn(layer: Any, pre: Array, post: Array) -> dict[str, Array]:
        traces, change = rule.steps(rule.init_state(layer, pre.shape[1:]), layer, pre, post)
        return {"outputs": traces.post, "change": change}

    return OnJax(learn, layer, pre, post)
