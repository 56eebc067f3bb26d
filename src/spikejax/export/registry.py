"""The exporters by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spikejax.export import netx, nir, onnx


@dataclass(frozen=True)
class Exporter:
    """A format in which networks are written.

    Attributes:
        name: its name on the command line, in the table of `support`, and of its page in the documentation.
        suffix: of its files, by custom.
        description: a phrase for the help of the command line, as in "Write a run as a NetX file".
        write: `(path, net, sample_shape, **options)`, which writes a file, or refuses by ValueError and writes nothing.
    """

    name: str
    suffix: str
    description: str
    write: Callable[..., Any]


EXPORTERS = {
    exporter.name: exporter
    for exporter in (
        Exporter("netx", ".net", "a NetX file, for Lava and Loihi", netx.write),
        Exporter("onnx", ".onnx", "an ONNX file, for Lynxi's chips or onnxruntime", onnx.write),
        Exporter("nir", ".nir", "a graph of the Neuromorphic Intermediate Representation", nir.write),
    )
}
"""The exporters: a new one has its package, a row here, a column in `support`, and a command in `cli/export.py`."""
