"""Pictures of spikes, membranes, training curves and encodings, each a matplotlib `Figure`."""

from spikejax.visualize.curves import plot_curves
from spikejax.visualize.encoding import plot_encoding
from spikejax.visualize.membrane import plot_heatmap, plot_membrane
from spikejax.visualize.raster import plot_raster
from spikejax.visualize.surrogate import plot_surrogates

__all__ = ["plot_curves", "plot_encoding", "plot_heatmap", "plot_membrane", "plot_raster", "plot_surrogates"]
