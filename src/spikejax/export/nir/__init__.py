"""Networks in the Neuromorphic Intermediate Representation (NIR), written and read."""

from spikejax.export.nir.reading import from_nir
from spikejax.export.nir.writing import to_nir, write

__all__ = ["from_nir", "to_nir", "write"]
