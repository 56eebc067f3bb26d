"""Pictures of spikes, membranes, plasticity, training curves and encodings, each a matplotlib `Figure`."""

from spikejax.visualize.conversion import plot_accuracy_over_time, plot_ranges
from spikejax.visualize.curves import plot_curves
from spikejax.visualize.encoding import plot_encoding
from spikejax.visualize.membrane import plot_heatmap, plot_membrane
from spikejax.visualize.plasticity import plot_plasticity, plot_receptive_fields
from spikejax.visualize.raster import plot_raster
from spikejax.visualize.surrogate import plot_surrogates

__all__ = [
    "plot_accuracy_over_time",
    "plot_curves",
    "plot_encoding",
    "plot_heatmap",
    "plot_membrane",
    "plot_plasticity",
    "plot_ranges",
    "plot_raster",
    "plot_receptive_fields",
    "plot_surrogates",
]
