"""Writes a network of another library as a NIR file, in the environment of the benchmarks.

    .venv-bench/bin/python tests/export/peers/write_nir.py snntorch FOLDER

Beside net.nir stand its inputs and spikes `[T, *]`, one sample, as inputs.npy and spikes.npy.
"""

import sys
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch


def make_snntorch() -> torch.nn.Module:
    """Scalars would have no shape in NIR: one value a neuron."""
    import snntorch

    shared: Any = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}
    return torch.nn.Sequential(
        torch.nn.Linear(8, 10),
        snntorch.Leaky(beta=torch.full((10,), 0.8), threshold=torch.full((10,), 0.4), **shared),
        torch.nn.Linear(10, 6, bias=False),
        snntorch.Synaptic(
            alpha=torch.full((6,), 0.5), beta=torch.full((6,), 0.7), threshold=torch.full((6,), 0.3), **shared
        ),
    )


def make_norse() -> torch.nn.Module:
    import norse.torch as norse

    def lif(n: int, rate: float) -> Any:
        parameters = norse.LIFBoxParameters(
            tau_mem_inv=torch.full((n,), rate), v_th=torch.full((n,), 0.1), v_leak=torch.zeros(n)
        )
        return norse.LIFBoxCell(parameters, dt=1e-3)

    return norse.SequentialState(torch.nn.Linear(8, 10), lif(10, 300.0), torch.nn.Linear(10, 6), lif(6, 200.0))


def export(library: str, module: torch.nn.Module, sample: torch.Tensor) -> nir.NIRGraph:
    if library == "norse":
        import norse.torch

        return norse.torch.to_nir(module, sample)
    from snntorch.export_nir import export_to_nir

    return export_to_nir(module, sample)


def main(library: str, folder: Path) -> None:
    torch.manual_seed(0)
    module = {"snntorch": make_snntorch, "norse": make_norse}[library]()
    inputs, state, spikes = (torch.rand(50, 8) < 0.5).float(), None, []
    with torch.no_grad():
        for weights in module.parameters():
            if weights.ndim == 2:
                weights *= 3
        for x in inputs[:, None]:
            y, state = module(x, state) if library == "norse" else (module(x), None)
            spikes.append((y[0] if isinstance(y, tuple) else y)[0].numpy())
        nir.write(folder / "net.nir", export(library, module, inputs[0]))
    np.save(folder / "inputs.npy", inputs.numpy())
    np.save(folder / "spikes.npy", np.stack(spikes))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
