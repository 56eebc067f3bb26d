"""A residual network and a vision transformer, trained on MNIST, become spiking networks.

The residual network has rectifiers and BatchNorm: converted with a scale for each channel and membranes that start from
half their threshold. The transformer has LayerNorm, softmax and GELU, which are no neurons: they are computed on the
mean of what they have received, and neurons of several spike sizes say what they give.

    python examples/convert_deep.py --data PATH

PATH is the folder with MNIST's four IDX files, or a file mnist.npz.
"""

import argparse
from pathlib import Path

import numpy as np
import optax
from flax import nnx
from rich.progress import track

from spikejax.convert import MultiThresholdIF, RateIF, accuracy_over_time, convert
from spikejax.datasets import load_digits, load_mnist
from spikejax.models import ResNet, VisionTransformer
from spikejax.typing import Array
from spikejax.visualize import plot_accuracy_over_time

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, help="folder or npz file of MNIST")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--steps", type=int, default=64)
parser.add_argument("--images", type=int, default=10_000, help="test images to simulate")
parser.add_argument("--out", type=Path, default=Path("runs/convert-deep"), help="folder for the pictures")
parser.add_argument(
    "--tiny", action="store_true", help="small networks, the built-in digits: only to see that it works"
)
options = parser.parse_args()
if not options.tiny and options.data is None:
    parser.error("--data is needed: the folder or npz file of MNIST (or --tiny, for the built-in digits)")
options.out.mkdir(parents=True, exist_ok=True)

tiny, rngs = options.tiny, nnx.Rngs(0)
batch, epochs, steps = (32, 6, 16) if tiny else (128, options.epochs, options.steps)
data = load_digits() if tiny else load_mnist(options.data)
x_train, x_test = (np.float32(x) / data.scale for x in (data.x_train, data.x_test))
x_seen, y_seen = x_test[: options.images], data.y_test[: options.images]
kinds = [("balanced", "balanced", True), ("99.9% a channel", "99.9%", True), ("max", "max", False)]
levels = [4, 8, 1]


def train(net: nnx.Module, name: str) -> float:
    """Adam with decay, its rate rising first and falling to 0; returns the accuracy on the images to simulate."""
    total = epochs * (len(x_train) // batch)
    schedule = optax.warmup_cosine_decay_schedule(0.0, 2e-3, total // 20, total)
    optimizer = nnx.Optimizer(net, optax.adamw(schedule, weight_decay=1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(net: nnx.Module, optimizer: nnx.Optimizer, x: Array, y: Array) -> None:
        def loss(net: nnx.Module) -> Array:
            return optax.softmax_cross_entropy_with_integer_labels(net(x), y).mean()

        optimizer.update(net, nnx.grad(loss)(net))

    random = np.random.default_rng(0)
    order = np.concatenate([random.permutation(len(x_train))[: len(x_train) // batch * batch] for _ in range(epochs)])
    net.train()
    for pick in track(order.reshape(-1, batch), name, disable=tiny):
        step(net, optimizer, x_train[pick], data.y_train[pick])
    net.eval()
    forward = nnx.jit(lambda net, x: net(x).argmax(-1))
    said = np.concatenate([forward(net, part) for part in np.array_split(x_seen, -(-len(x_seen) // 500))])
    return float(np.mean(said == y_seen))


def show(name: str, own: float, curves: dict[str, np.ndarray]) -> None:
    """Prints and draws accuracies over time."""
    print(f"{name}: test accuracy {own:.2%} before the conversion")
    for label, curve in curves.items():
        print(f"  {label}: " + ", ".join(f"{curve[t - 1]:.2%} at T = {t}" for t in (4, 8, 16, 32, 64) if t <= steps))
    figure = plot_accuracy_over_time(curves, reference=own, title=f"accuracy of the converted {name}")
    figure.savefig(options.out / f"{name.replace(' ', '-')}.png")
    print(f"  picture: {options.out / name.replace(' ', '-')}.png")


widths = (16,) if tiny else (16, 32, 64)
residual = ResNet((1,) * len(widths), widths=widths, classes=10, channels=1, stem="small", rngs=rngs)
own = train(residual, "residual network")
calibration = x_train[:5000]
curves = {}
for label, mode, channels in kinds[:1] if tiny else kinds:
    spiking = convert(residual, calibration, mode, channels=channels, neuron=RateIF(v_init=0.5))
    curves[label] = np.asarray(accuracy_over_time(spiking, x_seen, y_seen, steps))
show("residual network", own, curves)

size, patch = x_train.shape[1:], 4
features, depth = (16, 1) if tiny else (64, 4)
transformer = VisionTransformer(10, image=size, patch=patch, features=features, layers=depth, rngs=rngs)
own = train(transformer, "vision transformer")
curves = {}
for count in levels[:1] if tiny else levels:
    spiking = convert(transformer, calibration, "99.9%", nonlinear=MultiThresholdIF(levels=count))
    curves[f"{count} size(s) of spikes"] = np.asarray(accuracy_over_time(spiking, x_seen, y_seen, steps))
show("vision transformer", own, curves)
