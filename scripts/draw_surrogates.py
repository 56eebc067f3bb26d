"""Draws every surrogate into docs/images/surrogates.png."""

from pathlib import Path

from spikejax import surrogate
from spikejax.visualize import plot_surrogates

every = [
    cls()
    for cls in (getattr(surrogate, name) for name in surrogate.__all__)
    if isinstance(cls, type) and cls is not surrogate.SurrogateFunction
]
path = Path(__file__).parents[1] / "docs" / "images" / "surrogates.png"
plot_surrogates(every).savefig(path, dpi=80, pil_kwargs={"optimize": True})
print(f"{len(every)} surrogates: {path}")
