"""Pictures of spikes, membranes, weights, events, plasticity, training and conversion, each a matplotlib `Figure`."""

from spikejax.visualize.activity import plot_activity
from spikejax.visualize.bars import plot_bars_3d
from spikejax.visualize.conversion import plot_accuracy_over_time, plot_ranges
from spikejax.visualize.curves import plot_curves
from spikejax.visualize.encoding import plot_encoding
from spikejax.visualize.events import plot_events, save_events_gif
from spikejax.visualize.maps import plot_feature_maps, plot_receptive_fields, plot_weights
from spikejax.visualize.membrane import plot_heatmap, plot_membrane
from spikejax.visualize.plasticity import plot_plasticity
from spikejax.visualize.raster import plot_raster
from spikejax.visualize.surrogate import plot_surrogates

__all__ = [
    "plot_accuracy_over_time",
    "plot_activity",
    "plot_bars_3d",
    "plot_curves",
    "plot_encoding",
    "plot_events",
    "plot_feature_maps",
    "plot_heatmap",
    "plot_membrane",
    "plot_plasticity",
    "plot_ranges",
    "plot_raster",
    "plot_receptive_fields",
    "plot_surrogates",
    "plot_weights",
    "save_events_gif",
]
