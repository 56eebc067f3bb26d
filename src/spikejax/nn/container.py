"""The base of networks."""

from flax import nnx

from spikejax.nn.layer import limited_parts, name_of_path
from spikejax.nn.pure import PureModule
from spikejax.sequence import Sequence
from spikejax.typing import LayerVisitor, Path, Profile, PureNetwork, PyTree, State


class Container(nnx.Module):
    """Base of networks: an NNX module that shows its layers to a visitor."""

    def propagate(self, state: State, xs: Sequence, visitor: LayerVisitor, path: Path = ()) -> tuple[State, Sequence]:
        """Takes `xs` through every layer; see `spikejax.typing.Network`."""
        raise NotImplementedError(f"{type(self).__name__} must define `propagate(self, state, xs, visitor, path)`")

    def pure(self, method: str = "propagate") -> PureNetwork:
        """`propagate` as a pure function of the variables that a forward pass may change.

        Args:
            method: name of another method of the same signature, which takes its place.
        """
        module = PureModule(self)

        def propagate(
            variables: nnx.State, state: State, xs: PyTree, visitor: LayerVisitor, path: Path
        ) -> tuple[nnx.State, State, PyTree]:
            run = lambda net: getattr(net, method)(state, xs, visitor, path)  # noqa: E731
            variables, (state, ys) = module.call(run, module.params, variables)
            return variables, state, ys

        return PureNetwork(propagate, module.variables, module.restore)

    def profile(self, platform: str) -> Profile:
        """Facts for the planner; see `spikejax.typing.Network`."""
        return Profile(whole=self._whole(), slow_in_loop=self._slow_in_loop(platform))

    def _whole(self) -> str | None:
        """Names a part that takes its whole sequence at once, or a BatchNorm whose statistics depend on the chunk."""
        for name, limits in limited_parts(self):
            if limits.whole:
                return f"layer {name}: {limits.reason}"
        for path, module in nnx.iter_modules(self):
            if isinstance(module, nnx.BatchNorm) and not module.use_running_average:
                name = name_of_path(path)
                return f"layer {name} (BatchNorm, train mode) takes its statistics over a chunk, so over all steps"
        return None

    def _slow_in_loop(self, platform: str) -> str | None:
        """Names a convolution, whose weight gradient XLA computes slowly in loops on CPU (jax-ml/jax#12868)."""
        for path, module in nnx.iter_modules(self):
            if platform == "cpu" and isinstance(module, nnx.Conv | nnx.ConvTranspose):
                name, kind = name_of_path(path), type(module).__name__
                return f"layer {name} ({kind}): in a loop XLA on CPU computes its weight gradient far slower"
        return None
