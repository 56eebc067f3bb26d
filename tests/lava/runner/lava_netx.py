"""Runs NetX files in Lava's own fixed-point simulation of Loihi. For an interpreter with Lava, without JAX.

    python -P lava_netx.py FOLDER

For every NAME.net in FOLDER: NAME.npy holds the input, channels first and time last, NAME.json options of
`lava.lib.dl.netx.hdf5.Network`; NAME.out.npy will hold the output spikes. Lies alone in its folder, because Lava
imports every module beside one that it inspects.

Lava 0.10 asks for Python 3.10 and numpy < 2; three repairs make it run on later ones.
"""

import dataclasses
import functools
import importlib
import json
import sys
import types
from importlib.metadata import files
from pathlib import Path

import numpy as np


def load_netx():
    """lava.lib.dl.netx, repaired."""
    _stub("lava.lib.dl.slayer", "lava.lib.dl.slayer.neuron", "lava.lib.dl.slayer.neuron.rf")
    vars(sys.modules["lava.lib.dl.slayer.neuron.rf"])["neuron_params"] = None
    folder = next(Path(file.locate()).parent for file in files("lava-dl") if str(file).endswith("netx/hdf5.py"))
    _stub("lava.lib.dl.netx.sequential_modules")
    sys.modules["lava.lib.dl.netx.sequential_modules"].__file__ = str(folder / "sequential_modules.py")
    dataclass = dataclasses.dataclass
    dataclasses.dataclass = functools.partial(_hashable, dataclass)  # Python 3.11 wants hashable defaults
    try:
        importlib.import_module("lava.magma.compiler.var_model")
    finally:
        dataclasses.dataclass = dataclass
    ports = importlib.import_module("lava.magma.core.process.ports.ports")
    for name, shape in (("fwd", "shape"), ("bwd", "old_shape")):  # numpy 2.4 has no reshape(newshape=...)
        setattr(ports.ReshapePort, f"get_transform_func_{name}", functools.partialmethod(_reshaper, shape))
    return importlib.import_module("lava.lib.dl.netx.hdf5")


def _stub(*names):
    """Modules that netx imports for little and that need torch."""
    for name in names:
        module = types.ModuleType(name)
        module.__path__ = []
        sys.modules[name] = module


def _hashable(dataclass, cls=None, /, **options):
    def wrap(cls):
        own = dict(options)
        if cls.__module__.startswith("lava.") and not own.get("frozen") and own.get("eq", True):
            own.setdefault("unsafe_hash", True)
        return dataclass(cls, **own)

    return wrap if cls is None else wrap(cls)


def _reshape(array, shape):
    return array.reshape(shape)


def _reshaper(port, name):
    return functools.partial(_reshape, shape=getattr(port, name))


def run(hdf5, path, inputs, options):
    """Output spikes of a file, channels first and time last."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc import io

    net = hdf5.Network(net_config=str(path), **options)
    data = inputs.transpose(2, 1, 0, 3) if inputs.ndim == 4 else inputs
    source = io.source.RingBuffer(data=data.astype(int))
    sink = io.sink.RingBuffer(shape=net.out.shape, buffer=data.shape[-1])
    source.s_out.connect(net.inp)
    net.out.connect(sink.a_in)
    net.run(condition=RunSteps(num_steps=data.shape[-1]), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    spikes = sink.data.get()
    net.stop()
    net.net_config.f.close()
    return spikes.transpose(2, 1, 0, 3) if spikes.ndim == 4 else spikes


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    netx = load_netx()
    for path in sorted(folder.glob("*.net")):
        options = json.loads(path.with_suffix(".json").read_text())
        np.save(path.with_suffix(".out.npy"), run(netx, path, np.load(path.with_suffix(".npy")), options))
