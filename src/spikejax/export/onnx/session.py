"""Exported networks in onnxruntime."""

import json
import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spikejax.export.onnx.write import require

SessionState = dict[str, np.ndarray]


class Session:
    """An exported network, run by onnxruntime on the CPU; the state is an argument, as everywhere.

    Inputs and outputs have their channels last, whatever the layout of the file, and any floating-point dtype; they
    come out in that of the file.

    Args:
        path: file written by `write`.

    Raises:
        ValueError: the file was not written by `write`.
        ImportError: the package `onnxruntime` is missing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        runtime = require("onnxruntime")
        self._session = runtime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
        described = self._session.get_modelmeta().custom_metadata_map.get("spikejax")
        if described is None:
            raise ValueError(f"{os.fspath(path)} is not described as a network of spikejax: write it with `write`")
        self.metadata: dict[str, Any] = json.loads(described)

    def init_state(self) -> SessionState:
        """The state before the first step, by the names of its variables; empty in the unrolled form."""
        dtype = self.metadata["dtype"]
        return {
            s["name"]: np.broadcast_to(np.asarray(s["first"], dtype), s["shape"]).copy()
            for s in self.metadata["states"]
        }

    def step(self, state: SessionState, x: ArrayLike) -> tuple[SessionState, np.ndarray]:
        """One step of the step form.

        Args:
            state: as `init_state` or the last step gave it.
            x: input `[N, *]`.

        Returns:
            The next state, and the output `[N, *]`.

        Raises:
            ValueError: the file is of the unrolled form, or `x` is not of its shape.
        """
        self._expect("step", "read_out")
        states = self.metadata["states"]
        feeds = {s["input"]: state[s["name"]] for s in states}
        y, *new = self._session.run(["y", *(s["output"] for s in states)], feeds | {"x": self._to_file(x)})
        return {s["name"]: leaf for s, leaf in zip(states, new, strict=True)}, self._from_file(y)

    def run(
        self, xs: ArrayLike, state: SessionState | None = None, *, steps: int | None = None
    ) -> tuple[SessionState, np.ndarray]:
        """Many steps of the step form, as `spikejax.run`.

        Args:
            xs: `[T, N, *]`, or with `steps` one static input `[N, *]`.
            state: None starts anew.
            steps: time steps T of a static input.

        Returns:
            The last state, and the outputs `[T, N, *]`.

        Raises:
            ValueError: the file is of the unrolled form, or an input is not of its shape.
        """
        state, ys = self.init_state() if state is None else state, []
        for x in np.asarray(xs) if steps is None else [xs] * steps:
            state, y = self.step(state, x)
            ys.append(y)
        return state, np.stack(ys)

    def read_out(self, x: ArrayLike) -> np.ndarray:
        """The unrolled form: what is read out of all steps.

        Args:
            x: `[N, *]`, or `[T * N, *]` where the file takes a sequence.

        Raises:
            ValueError: the file is of the step form, or `x` is not of its shape.
        """
        self._expect("unrolled", "run")
        return self._from_file(self._session.run(["y"], {"x": self._to_file(x)})[0])

    def _expect(self, form: str, other: str) -> None:
        if self.metadata["form"] != form:
            raise ValueError(f"the file is of the {self.metadata['form']} form: use `{other}`")

    def _to_file(self, x: ArrayLike) -> np.ndarray:
        """`x` as the file takes it."""
        x = np.asarray(x).astype(self.metadata["dtype"])
        expected, received = self._session.get_inputs()[0].shape, x.shape
        if self.metadata["layout"] == "NCHW" and x.ndim > 2:
            x = np.moveaxis(x, -1, 1)
        if list(x.shape) != expected:
            sample = tuple(self.metadata["sample_shape"])
            raise ValueError(f"`x` must be of shape {(expected[0], *sample)}, channels last, got {received}")
        return np.ascontiguousarray(x)

    def _from_file(self, y: np.ndarray) -> np.ndarray:
        """An output with its channels last."""
        return np.moveaxis(y, 1, -1) if self.metadata["layout"] == "NCHW" and y.ndim > 2 else y
