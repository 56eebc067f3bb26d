"""Networks in the Neuromorphic Intermediate Representation (NIR), written and read."""

from spikejax.export.nir.read import from_nir
from spikejax.export.nir.write import to_nir, write

__all__ = ["from_nir", "to_nir", "write"]
