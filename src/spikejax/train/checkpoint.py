"""Checkpoints with orbax: the latest and the best, each written beside the last good one before it goes."""

from pathlib import Path
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from spikejax.train.trainer import TrainState

Kind = Literal["latest", "best"]


class Checkpoints:
    """The `latest` and the `best` checkpoint of a run, in two folders.

    A checkpoint is written to a temporary folder, renamed when complete, and only then the one before it is removed:
    killed at any moment, the last good one loads.

    Args:
        directory: folder of the run's checkpoints; made where it is missing.
    """

    def __init__(self, directory: Path) -> None:
        import orbax.checkpoint as ocp  # a third of a second, so only where checkpoints are used

        self._ocp = ocp
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        self._managers = {
            kind: ocp.CheckpointManager(directory.absolute() / kind, options=options) for kind in get_args(Kind)
        }

    def save(self, kind: Kind, step: int, state: TrainState, progress: dict[str, Any]) -> None:
        """Saves a state and a dict of plain values as the `kind` ("latest" or "best") checkpoint.

        An existing checkpoint of the same step stays: the step determines the state.
        """
        if step == self.step(kind):
            return
        args = self._ocp.args
        item = args.Composite(state=args.StandardSave(_to_dict(state)), progress=args.JsonSave(progress))
        self._managers[kind].save(step, args=item, force=True)

    def step(self, kind: Kind) -> int | None:
        """The training step of the `kind` checkpoint; None where there is none."""
        return self._managers[kind].latest_step()

    def load(self, kind: Kind, like: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """The state and the progress of the `kind` checkpoint.

        Args:
            kind: "latest" or "best".
            like: a state of the same structure, such as the initial one.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            ValueError: the checkpoint is damaged, or was made for another network or optimizer.
        """
        manager, step = self._managers[kind], self.step(kind)
        if step is None:
            raise FileNotFoundError(f"no {kind} checkpoint in {manager.directory}: train first, without --resume")
        args = self._ocp.args
        item = args.Composite(state=args.StandardRestore(), progress=args.JsonRestore())
        try:
            loaded = manager.restore(step, args=item)
        except (ValueError, OSError) as error:
            raise ValueError(f"the {kind} checkpoint in {manager.directory} is damaged: {error}") from error
        saved = {name: leaf.shape for name, leaf in loaded["state"].items()}
        expected = {name: leaf.shape for name, leaf in _to_dict(like).items()}
        for name in sorted(saved.keys() | expected.keys()):
            if saved.get(name) != expected.get(name):
                raise ValueError(
                    f"the {kind} checkpoint in {manager.directory} belongs to another network or optimizer: "
                    f"`{name}` has shape {saved.get(name)} there and {expected.get(name)} here"
                )
        return _from_dict(loaded["state"], like), loaded["progress"]

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        for manager in self._managers.values():
            manager.close()


def _named_leaves(tree: TrainState) -> list[tuple[str, jax.Array]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves]


def _is_key(leaf: jax.Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _to_dict(tree: TrainState) -> dict[str, np.ndarray]:
    """The leaves of `tree` as host arrays by name; random keys as their words."""
    data = [(name, jax.random.key_data(leaf) if _is_key(leaf) else leaf) for name, leaf in _named_leaves(tree)]
    return {name: np.asarray(jax.device_get(leaf)) for name, leaf in data}


def _from_dict(arrays: dict[str, np.ndarray], like: TrainState) -> TrainState:
    """The inverse of `_to_dict`."""

    def revive(name: str, old: jax.Array) -> jax.Array:
        new = jnp.asarray(arrays[name])
        return jax.random.wrap_key_data(new, impl=jax.random.key_impl(old)) if _is_key(old) else new

    leaves = [revive(name, old) for name, old in _named_leaves(like)]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)
