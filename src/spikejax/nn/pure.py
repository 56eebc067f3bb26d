"""NNX modules as pure functions of their variables, and the way back into the module."""

from collections.abc import Callable
from typing import Any

from flax import nnx


class PureModule:
    """An NNX module split in its structure, its parameters and its other variables.

        pure = PureModule(net)
        variables, y = pure.call(lambda net: net(x), pure.params, pure.variables)      inside jit, grad, scan, ...
        pure.restore(variables)

    Args:
        module: the module; it stays as it is until `restore`. Objects that are no modules have no variables.

    Attributes:
        params: values of all `nnx.Param`s, an `nnx.State`.
        variables: all other variables, such as running statistics and random streams, an `nnx.State`.
    """

    def __init__(self, module: object) -> None:
        self.module: Any = module
        self.params: nnx.State = nnx.State({})
        self.variables: nnx.State = nnx.State({})
        if isinstance(module, nnx.Module):
            self._graph, self.params, self.variables = nnx.split(module, nnx.Param, ...)
        self._changed: set[Any] = set()

    def bind(self, params: nnx.State | None = None, variables: nnx.State | None = None) -> Any:
        """The module with other parameters and variables, apart from the original; None stands for its own."""
        if not isinstance(self.module, nnx.Module):
            return self.module
        params = self.params if params is None else params
        return nnx.merge(self._graph, params, self.variables if variables is None else variables, copy=True)

    def call(self, function: Callable[[Any], Any], params: nnx.State, variables: nnx.State) -> tuple[nnx.State, Any]:
        """Applies `function` to the module with these parameters and variables.

        Returns:
            The variables after the call, and what `function` gave.
        """
        before = {path: variable[...] for path, variable in nnx.to_flat_state(variables)}
        module = self.bind(params, variables)
        out = function(module)
        if not isinstance(module, nnx.Module):
            return variables, out
        after = nnx.state(module, nnx.Not(nnx.Param))
        self._changed.update(path for path, value in nnx.to_flat_state(after) if value[...] is not before[path])
        return after, out

    def restore(self, variables: nnx.State) -> None:
        """Writes those variables back into the module that calls have changed; all others stay untouched."""
        changed = [(path, value) for path, value in nnx.to_flat_state(variables) if path in self._changed]
        if changed:
            nnx.update(self.module, nnx.from_flat_state(changed))
