import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from spikejax.visualize import (
    plot_activity,
    plot_bars_3d,
    plot_curves,
    plot_encoding,
    plot_events,
    plot_feature_maps,
    plot_heatmap,
    plot_membrane,
    plot_raster,
    plot_weights,
)
from spikejax.visualize.canvas import as_spikes, as_values, new_figure

ROWS = [{"epoch": 0, "train_loss": 1, "train_accuracy": 0.5, "test_loss": 1, "test_accuracy": 0.5}]
CALLS = [
    lambda: plot_raster(np.zeros((2, 2))),
    lambda: plot_membrane(np.zeros(2), np.zeros(2)),
    lambda: plot_heatmap(np.zeros((2, 2))),
    lambda: plot_curves(ROWS),
    lambda: plot_encoding(np.zeros((1, 2, 2)), np.zeros((3, 1, 2, 2))),
    lambda: plot_feature_maps(np.zeros((2, 2, 2))),
    lambda: plot_weights(np.zeros((2, 2))),
    lambda: plot_bars_3d(np.zeros((2, 2))),
    lambda: plot_events(np.zeros((2, 2, 2, 2))),
    lambda: plot_activity({"spikes": np.zeros((2, 2, 2))}),
]


@pytest.mark.parametrize("call", CALLS)
def test_missing_matplotlib_names_the_extra(monkeypatch, call):
    for module in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"matplotlib, which is not installed: pip install 'spikejax\[viz\]'"):
        call()


def test_import_is_lazy_and_pyplot_is_never_used():
    code = """
import sys
import numpy as np
from spikejax.visualize import plot_bars_3d, plot_raster, save_events_gif
assert "matplotlib" not in sys.modules, "imported with the package"
assert "PIL" not in sys.modules, "imported with the package"
plot_raster(np.eye(3))
plot_bars_3d(np.eye(3))
assert "matplotlib" in sys.modules
assert "matplotlib.pyplot" not in sys.modules, "pyplot holds global state"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_figures_are_independent():
    first, second = new_figure(4.0, 3.0), new_figure(4.0, 3.0)
    first.subplots()
    assert len(first.axes) == 1 and not second.axes


@pytest.mark.parametrize("dtype", [bool, "int32", "float16", "bfloat16", "float32"])
def test_jax_arrays_of_every_dtype(dtype):
    spikes = as_spikes("spikes", jnp.array([[0, 1], [1, 1]], dtype), ("time steps", "neurons"))
    assert spikes.dtype == bool
    np.testing.assert_array_equal(spikes, [[False, True], [True, True]])


def test_double_precision_is_kept():
    assert as_values("values", np.zeros(1), ("time steps",)).dtype == np.float64


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.zeros(3), r"`x` must have the axes \[time steps, neurons\], got the shape \(3,\): select"),
        (np.zeros((0, 3)), r"`x` must have a length of at least 1 .* got the shape \(0, 3\)"),
        (np.array([[0, np.nan]]), r"`x` of shape \(1, 2\) must be finite, got 1 values NaN"),
        (
            np.array([[0, 0.5]]),
            r"`x` of shape \(1, 2\) must have the values 0 and 1, got 0\.5: .*`plot_heatmap`",
        ),
    ],
)
def test_unfit_arrays_are_named(values, match):
    with pytest.raises(ValueError, match=match):
        as_spikes("x", values, ("time steps", "neurons"))
