"""Runs the NIR files of a folder in another library, in the environment of the benchmarks.

    .venv-bench/bin/python tests/export/peers/run_nir.py snntorch FOLDER

Beside each NAME.nir stands NAME.inputs.npy `[T, *]`, one sample, channels first; NAME.spikes.npy is written, or
NAME.refused with what the library said.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch


def read_snntorch(graph: nir.NIRGraph) -> Any:
    from snntorch.import_nir import import_from_nir

    return import_from_nir(graph)


def read_norse(graph: nir.NIRGraph) -> Any:
    import norse.torch

    return norse.torch.from_nir(graph, dt=1e-4)


READERS: dict[str, Callable[[nir.NIRGraph], Any]] = {"snntorch": read_snntorch, "norse": read_norse}


def spikes_of(module: Any, inputs: np.ndarray) -> np.ndarray:
    """Step by step; the state is None before the first."""
    state, spikes = None, []
    for x in torch.from_numpy(inputs):
        y, state = module(x, state)
        spikes.append(y.numpy())
    return np.stack(spikes)


def main(library: str, folder: Path) -> None:
    for path in sorted(folder.glob("*.nir")):
        try:
            with torch.no_grad():
                module = READERS[library](nir.read(path))
                spikes = spikes_of(module, np.load(path.with_suffix(".inputs.npy")))
            np.save(path.with_suffix(".spikes.npy"), spikes)
        except (AssertionError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            path.with_suffix(".refused").write_text(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
