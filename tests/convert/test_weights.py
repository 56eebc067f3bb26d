"""PyTorch's weights: every layout against PyTorch's outputs, names, and what is refused."""

import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

import spikejax as sx
from spikejax.convert import load_torch

GOLDEN = Path(__file__).parents[1] / "golden" / "torch_weights.npz"


def golden(name):
    """Weights, input and output, as PyTorch has them."""
    with np.load(GOLDEN) as file:
        start = f"{name}/state/"
        weights = {key.removeprefix(start): file[key] for key in file if key.startswith(start)}
        return weights, file[f"{name}/x"], file[f"{name}/y"]


def channels_last(x):
    return jnp.moveaxis(x, 1, -1)


def rngs():
    return nnx.Rngs(0)


def norms():
    return (
        nnx.Linear(4, 6, rngs=rngs()),
        nnx.LayerNorm(6, epsilon=1e-5, rngs=rngs()),
        nnx.GroupNorm(6, 2, epsilon=1e-5, rngs=rngs()),
        nnx.BatchNorm(6, use_running_average=True, rngs=rngs()),
    )


LAYERS = {
    "conv1d": lambda: [nnx.Conv(4, 6, (3,), 2, padding=((1, 1),), feature_group_count=2, rngs=rngs())],
    "conv2d": lambda: [nnx.Conv(2, 3, (3, 2), (2, 1), padding=((1, 1), (0, 0)), rngs=rngs())],
    "conv3d": lambda: [nnx.Conv(2, 3, (1, 2, 3), padding="VALID", rngs=rngs())],
    "conv_transpose": lambda: [nnx.ConvTranspose(2, 3, (3, 4), 2, padding=((1, 1), (2, 2)), rngs=rngs())],
    "conv_transpose turned": lambda: [
        nnx.ConvTranspose(2, 3, (3, 4), 2, padding=((1, 1), (2, 2)), transpose_kernel=True, rngs=rngs())
    ],
    "norms": norms,
    "embedding": lambda: [nnx.Embed(5, 3, rngs=rngs())],
}


class Flat(nnx.Module):
    """A convolution, two linear layers."""

    def __init__(self, rngs):
        self.conv = nnx.Conv(2, 3, (3, 3), padding="VALID", rngs=rngs)
        self.fc1 = nnx.Linear(24, 5, rngs=rngs)
        self.fc2 = nnx.Linear(5, 2, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.conv(x))
        return self.fc2(nnx.relu(self.fc1(x.reshape(len(x), -1))))


FLATTENED = {"fc1": (3, 4, 2)}


def values(net):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(net))]


@pytest.mark.parametrize("container", [nnx.Sequential, sx.nn.Sequential])
@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_gives_the_outputs_of_torch(name, container):
    weights, x, y = golden(f"layer/{name.split()[0]}")
    layers = LAYERS[name]()
    load_torch(container(*layers), weights)
    spatial = x.ndim > 2
    out = channels_last(x) if spatial else x
    for layer in layers:
        out = layer(out)
    np.testing.assert_allclose(jnp.moveaxis(out, -1, 1) if spatial else out, y, rtol=0, atol=1e-5)


def test_flattened_map_is_reordered():
    weights, x, y = golden("flattened")
    net = Flat(rngs())
    load_torch(net, weights, flattened=FLATTENED)
    np.testing.assert_allclose(net(channels_last(x)), y, rtol=0, atol=1e-5)


def test_a_network_without_initial_weights():
    weights, x, y = golden("flattened")
    net = nnx.eval_shape(lambda: Flat(rngs()))
    load_torch(net, weights, flattened=FLATTENED)
    np.testing.assert_allclose(net(channels_last(x)), y, rtol=0, atol=1e-5)


def test_layers_of_containers_are_counted():
    block = sx.nn.Sequential(nnx.Linear(2, 3, use_bias=False, rngs=rngs()), sx.LIF())
    net = sx.nn.Sequential(block, nnx.Sequential(nnx.relu, nnx.Linear(3, 1, rngs=rngs())), sx.ParametricLIF())
    weights = {
        "0.0.weight": np.arange(6.0).reshape(3, 2),
        "1.1.weight": np.ones((1, 3)),
        "1.1.bias": np.array([7.0]),
        "2.w": np.array(0.5),
    }
    load_torch(net, weights)
    np.testing.assert_array_equal(net[0][0].kernel[...], [[0, 2, 4], [1, 3, 5]])
    assert net[0][0].kernel.dtype == jnp.float32
    assert net[1].layers[1].bias[0] == 7
    assert net[2].w == 0.5


class Tied(nnx.Module):
    """A parameter of its own, and a layer under two names."""

    def __init__(self):
        self.position = nnx.Param(jnp.zeros((2, 3)))
        self.first = nnx.Linear(3, 3, use_bias=False, rngs=rngs())
        self.second = self.first


def test_other_parameters_keep_their_layout_and_shared_ones_are_filled_once():
    net, position = Tied(), np.arange(6.0).reshape(2, 3)
    load_torch(net, {"position": position, "first.weight": np.eye(3)})
    np.testing.assert_array_equal(net.position[...], position)
    np.testing.assert_array_equal(net.second.kernel[...], np.eye(3))


@pytest.mark.parametrize(
    "rename",
    [
        {"module": "", "module.head": "fc2", "module.spare": None},
        {"module": "", "module.head.weight": "fc2.weight", "module.head.bias": "fc2.bias", "module.spare.a": None},
        lambda name: None if "spare" in name else name.removeprefix("module.").replace("head", "fc2"),
    ],
    ids=["modules", "names", "function"],
)
def test_rename(rename):
    weights, x, y = golden("flattened")
    weights = {f"module.{name.replace('fc2', 'head')}": tensor for name, tensor in weights.items()}
    net = Flat(rngs())
    load_torch(net, weights | {"module.spare.a": np.zeros(3)}, rename=rename, flattened=FLATTENED)
    np.testing.assert_allclose(net(channels_last(x)), y, rtol=0, atol=1e-5)


class Tensor:
    """What is used of a torch.Tensor."""

    def __init__(self, array, dtype="torch.float32"):
        self.array, self.dtype = array, dtype

    def detach(self):
        return self

    cpu = detach

    def float(self):
        return Tensor(self.array.astype(np.float32))

    def numpy(self):
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.bfloat16"])
def test_tensors(dtype):
    weights, _, _ = golden("layer/conv2d")
    net = nnx.Sequential(*LAYERS["conv2d"]())
    load_torch(net, {name: Tensor(array, dtype) for name, array in weights.items()})
    np.testing.assert_array_equal(net.layers[0].kernel[...], weights["0.weight"].transpose(2, 3, 1, 0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ml_dtypes.bfloat16])
def test_safetensors(dtype, tmp_path):
    weights, _, _ = golden("layer/norms")
    weights["3.num_batches_tracked"] = np.array(7)
    saved = {name: array if array.dtype == int else array.astype(dtype) for name, array in weights.items()}
    save_file(saved, tmp_path / "weights.safetensors")
    net = nnx.Sequential(*norms())
    load_torch(net, tmp_path / "weights.safetensors")
    assert net.layers[3].mean.dtype == jnp.float32
    np.testing.assert_array_equal(net.layers[3].mean[...], saved["3.running_mean"].astype(np.float32))
    np.testing.assert_array_equal(net.layers[0].kernel[...], saved["0.weight"].T.astype(np.float32))


def test_file_of_torch(monkeypatch, tmp_path):
    weights, x, y = golden("flattened")
    path, calls = tmp_path / "weights.pt", []
    path.touch()
    monkeypatch.setitem(
        sys.modules, "torch", SimpleNamespace(load=lambda *args, **options: calls.append((args, options)) or weights)
    )
    net = Flat(rngs())
    load_torch(net, str(path), flattened=FLATTENED)
    np.testing.assert_allclose(net(channels_last(x)), y, rtol=0, atol=1e-5)
    assert calls == [((path,), {"map_location": "cpu", "weights_only": True})]


@pytest.mark.parametrize(
    ("module", "file", "message"),
    [
        ("torch", "weights.pth", r"'weights.pth' needs PyTorch: .* as `.safetensors`"),
        ("safetensors.numpy", "weights.safetensors", r"pip install spikejax\[weights\]"),
    ],
)
def test_missing_package(monkeypatch, tmp_path, module, file, message):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / file).touch()
    with pytest.raises(ImportError, match=message):
        load_torch(Flat(rngs()), tmp_path / file)


def test_everything_that_does_not_fit_is_listed_and_nothing_is_changed():
    weights, _, _ = golden("flattened")
    weights["head.bias"] = weights.pop("fc2.bias")
    weights["conv.weight"] = np.zeros((3, 2, 5, 5), np.float32)
    weights["fc1.bias"] = np.zeros(5, np.int8)
    net = Flat(rngs())
    before = values(net)
    with pytest.raises(ValueError, match="`weights` must be those of `net`, and nothing was loaded") as info:
        load_torch(net, weights, flattened=FLATTENED)
    assert str(info.value).splitlines()[1:] == [
        "  left over: head.bias (2,)",
        "  missing: fc2.bias (2,)",
        "  no floating point numbers: fc1.bias, int8",
        "  of another shape: conv.weight (3, 2, 5, 5), the network takes (3, 2, 3, 3)",
    ]
    for old, new in zip(before, values(net), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"`flattened` must name 'fc1', .* 24 inputs .* 3 channels: .* \{'fc1': \(3, H, W\)\} with H W = 8"),
        ({"flattened": {"fc1": (3, 4, 4)}}, r"`flattened`\['fc1'\] must be .* 24 inputs, got \(3, 4, 4\), which is 48"),
        ({"flattened": {"conv": (3, 4, 2)}}, r"must name linear layers of `net`, got 'conv'; .* \['fc1', 'fc2'\]"),
        ({"rename": {"fc": "fc1"}}, r"`rename` must map names or modules of `weights`, which have no \['fc'\]"),
        ({"rename": {"fc2.bias": "fc1.bias"}}, r"`rename` must keep names apart, got 'fc1.bias' twice, .* 'fc2.bias'"),
    ],
)
def test_errors(options, message):
    weights, _, _ = golden("flattened")
    net = Flat(rngs())
    before = values(net)
    with pytest.raises(ValueError, match=message):
        load_torch(net, weights, **options)
    for old, new in zip(before, values(net), strict=True):
        np.testing.assert_array_equal(old, new)


class Reversed(Flat):
    """The same layers, defined last to first."""

    def __init__(self, rngs):
        self.fc2 = nnx.Linear(5, 2, rngs=rngs)
        self.fc1 = nnx.Linear(24, 5, rngs=rngs)
        self.conv = nnx.Conv(2, 3, (3, 3), padding="VALID", rngs=rngs)


@pytest.mark.parametrize(("net", "step"), [(Reversed, 1), (Flat, -1)], ids=["of the weights", "of the network"])
def test_one_right_order_is_enough_to_notice_a_flattened_map(net, step):
    weights, _, _ = golden("flattened")
    with pytest.raises(ValueError, match="must name 'fc1'"):
        load_torch(net(rngs()), dict(list(weights.items())[::step]))


class Pooled(nnx.Module):
    """Its linear layer takes the mean over the map, and comes first but one in the alphabet."""

    def __init__(self, rngs):
        self.conv = nnx.Conv(2, 3, (1, 1), rngs=rngs)
        self.layer = nnx.Conv(3, 6, (1, 1), rngs=rngs)
        self.fc = nnx.Linear(6, 1, rngs=rngs)


def test_a_layer_after_a_mean_needs_no_shape_in_the_order_of_the_alphabet():
    shapes = {"conv": (3, 2, 1, 1), "fc": (1, 6), "layer": (6, 3, 1, 1)}
    weights = {}
    for name, shape in shapes.items():
        weights |= {f"{name}.bias": np.zeros(shape[0]), f"{name}.weight": np.ones(shape)}
    net = nnx.eval_shape(lambda: Pooled(rngs()))
    load_torch(net, weights)
    assert net.fc.kernel.shape == (6, 1)


def test_none_says_that_nothing_was_flattened():
    weights, _, _ = golden("flattened")
    net = Flat(rngs())
    load_torch(net, weights, flattened={"fc1": None})
    np.testing.assert_array_equal(net.fc1.kernel[...], weights["fc1.weight"].T)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1.0], TypeError, "`weights` must be a state_dict or a file, got list: for a module, give `module.state_dict"),
        ({"epoch": 3}, ValueError, r"`weights`\['epoch'\] must be a tensor, got int: give the state_dict alone"),
        ("weights.ckpt", ValueError, "must be a file .safetensors, .pt or .pth, got 'weights.ckpt'"),
        ("nowhere.safetensors", FileNotFoundError, "there is no file nowhere.safetensors"),
    ],
)
def test_what_is_no_state_dict(weights, error, message):
    with pytest.raises(error, match=message):
        load_torch(Flat(rngs()), weights)
