"""What a NetX file means, in 64-bit integers of NumPy and the file's own axes, written from Lava's equations."""

from typing import Any

import h5py
import numpy as np


def simulate(path, spikes: np.ndarray) -> np.ndarray:
    """Output spikes of every layer in the same step; `spikes` and result `[T, N, ...]`, channels first."""
    with h5py.File(path) as file:
        layers: list[Any] = [file["layer"][str(i)] for i in range(len(file["layer"]))]
        for layer in layers:
            kind = layer["type"][0].decode()
            if kind == "flatten":
                spikes = spikes.reshape(*spikes.shape[:2], -1)
            elif kind != "input":
                spikes = _through(
                    kind, {name: layer[name][()] for name in layer if name != "neuron"}, layer["neuron"], spikes
                )
    return spikes


def _through(kind: str, layer: dict, neuron: h5py.Group, spikes: np.ndarray) -> np.ndarray:
    spikes = spikes.astype(np.int64)
    sums = _conv(layer, spikes) if kind == "conv" else _dense(layer, spikes)
    space = (1,) * (sums.ndim - 3)
    ints = {name: np.asarray(neuron[name][()], np.int64) for name in ("iDecay", "vDecay", "vThMant")}
    ints = {name: value.reshape(-1, *space) if value.ndim else value for name, value in ints.items()}
    bias = np.asarray(layer.get("bias", 0), np.int64)
    bias = bias.reshape(-1, *space) if bias.ndim else bias
    u, v, out = np.zeros_like(sums[0]), np.zeros_like(sums[0]), np.zeros_like(sums)
    for t, a in enumerate(sums):
        if kind == "dense_rec" and t:
            a = a + out[t - 1] @ layer["weight_rec"].T.astype(np.int64)
        u = np.sign(u) * ((abs(u) * (4096 - ints["iDecay"])) >> 12) + (a << 6)
        u = (u + 2**23) % 2**24 - 2**23
        v = np.sign(v) * ((abs(v) * (4096 - ints["vDecay"])) >> 12) + u + (bias << 6)
        v = np.clip(v, -(2**23 - 1), 2**23 - 1)
        out[t] = v > ints["vThMant"] << 6
        v = np.where(out[t], 0, v)
    return out


def _dense(layer: dict, spikes: np.ndarray) -> np.ndarray:
    weight = layer["weight"].astype(np.int64)
    if "delay" not in layer:
        return spikes @ weight.T
    sums = np.zeros((*spikes.shape[:2], len(weight)), np.int64)
    for delay in np.unique(layer["delay"]):
        late = np.concatenate([np.zeros_like(spikes[:delay]), spikes[: len(spikes) - delay]])
        sums += late @ (weight * (layer["delay"] == delay)).T
    return sums


def _conv(layer: dict, spikes: np.ndarray) -> np.ndarray:
    weight, groups = layer["weight"].astype(np.int64), int(layer["groups"])
    (ph, pw), (sh, sw), (dh, dw) = layer["padding"], layer["stride"], layer["dilation"]
    out, _, kh, kw = weight.shape
    spikes = np.pad(spikes, ((0, 0), (0, 0), (0, 0), (ph, ph), (pw, pw)))
    h, w = (
        (n - d * (k - 1) - 1) // s + 1
        for n, d, k, s in zip(spikes.shape[3:], (dh, dw), (kh, kw), (sh, sw), strict=True)
    )
    sums = np.zeros((*spikes.shape[:2], out, h, w), np.int64)
    for group, (part, kernel) in enumerate(zip(np.split(spikes, groups, 2), np.split(weight, groups), strict=True)):
        mine = slice(group * len(kernel), (group + 1) * len(kernel))
        for i, j in np.ndindex(kh, kw):
            seen = part[..., i * dh : i * dh + sh * h : sh, j * dw : j * dw + sw * w : sw][..., :h, :w]
            sums[:, :, mine] += np.einsum("tnchw,oc->tnohw", seen, kernel[:, :, i, j])
    return sums
