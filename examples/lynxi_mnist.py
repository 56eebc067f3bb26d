"""A convolutional spiking network for Lynxi's chips: trained, written as ONNX in both forms, checked in onnxruntime.

Shows the way to a chip that computes in float16 and knows no time. The step form is one time step: the host keeps the
state and hands it back. The unrolled form has all steps and the read-out inside: an image goes in, firing rates come
out. Both are run over the whole test set and must classify as spikejax does.

    python examples/lynxi_mnist.py --data PATH

PATH is the folder with MNIST's four IDX files, or a file mnist.npz; without it the built-in digits serve.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from flax import nnx

import spikejax as sx
from spikejax.datasets import load_digits, load_mnist
from spikejax.export.onnx import Session, write
from spikejax.losses import mse_rate
from spikejax.models import convolutional
from spikejax.train import Checkpoints, Trainer, fit, make_optimizer, make_schedule
from spikejax.train.progress import ProgressBar

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, help="folder or npz file of MNIST; without it, the built-in digits")
parser.add_argument("--epochs", type=int, help="default 3 of MNIST, 20 of the digits")
parser.add_argument("--channels", type=int, default=16)
parser.add_argument("--batch", type=int, default=4, help="samples at a time in the files; must divide the test set")
parser.add_argument("--out", type=Path, default=Path("runs/lynxi"))
parser.add_argument("--tiny", action="store_true", help="one epoch on the digits: only to see that it works")
options = parser.parse_args()
if (options.out / "checkpoints").exists():
    parser.error(f"{options.out} holds a run already: give another --out")

T = 4
data = load_mnist(options.data) if options.data else load_digits()
epochs = options.epochs or (1 if options.tiny else 3 if options.data else 20)
channels = 4 if options.tiny else options.channels
shape = data.x_train.shape[1:]
net = convolutional(
    shape,
    len(data.classes),
    channels=channels,
    neuron=partial(sx.IF, surrogate=sx.surrogate.ATan()),
    voters=10,
    rngs=nnx.Rngs(0),
)
schedule = make_schedule("cosine", 2e-3, steps=epochs * (len(data.x_train) // 64))
trainer = Trainer(net, make_optimizer("adam", schedule), steps=T, batch_size=64, loss=mse_rate, scale=data.scale)
with ProgressBar(epochs) as bar:
    fit(trainer, data, options.out, epochs=epochs, schedule=schedule, reporter=bar)
with Checkpoints(options.out / "checkpoints") as checkpoints:
    state, _ = checkpoints.load("latest", trainer.init())
net = trainer.network(state)
_, accuracy = trainer.evaluate(state, data.x_test, data.y_test).means()

half = {"batch": options.batch, "dtype": "float16"}
files = options.out / "step.onnx", options.out / "unrolled.onnx"
reports = write(files[0], net, shape, **half), write(files[1], net, shape, **half, form="unrolled", steps=T)
if not options.tiny:
    print(*reports, sep="\n\n")


def accuracy_of(classify) -> float:
    """Share of the test samples that `classify`, from a batch of images to firing rates, gets right."""
    images = data.x_test.reshape(-1, options.batch, *shape).astype(np.float32) / data.scale
    guesses = np.concatenate([classify(x).argmax(-1) for x in images])
    return float((guesses == data.y_test).mean())


step, unrolled = map(Session, files)
print(f"spikejax, float32: test accuracy {accuracy:.2%}")
print(f"step form, float16: test accuracy {accuracy_of(lambda x: step.run(x, steps=T)[1].mean(0)):.2%}")
print(f"unrolled form, float16: test accuracy {accuracy_of(unrolled.read_out):.2%}")
