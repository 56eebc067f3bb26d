"""Limits of a chip, checked before anything is written."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from spikejax.export.netx.block import Block, Chip
from spikejax.export.netx.fixed import LIMIT, SHIFT, WEIGHT_RANGE
from spikejax.export.netx.neuron import MAX_THRESHOLD, UNIT

MAX_DELAY = 62
MIN_BIAS, MAX_BIAS = -4096, 4095
EXACT = 1 << 24
"""Sums below this are exact in float32, in which they are simulated."""

COMPARTMENTS, AXONS, SYNAPSE_BITS = 1024, 4096, 16384 * 64
"""Of one core of the first Loihi, as nengo-loihi has them."""

MIN_SNR = 15.0
"""Signal to noise of the weights, in dB, below which the report warns; 8 bits well used give about 40."""

MAX_DECAY_SETS, MAX_THRESHOLD_SETS = 32, 8
"""Sets of decays and of thresholds that one core can hold, in the same source."""


@dataclass(frozen=True)
class ChipLayer:
    """One layer of the report.

    Attributes:
        layer: its name.
        kind: "dense", "dense_rec" or "conv".
        shape: what comes in and what goes out, channels last.
        weights: number of weights, shared ones counted once.
        bits: bits that the weights use, sign included.
        clipped: share of the weights that were out of range, in [0, 1]; nan where it is not known.
        snr: signal to quantisation noise of the weights in dB; infinite where nothing was rounded, nan if not known.
        threshold: mantissa, smallest and largest.
        i_decay: decay of the current in 1/4096, smallest and largest.
        v_decay: decay of the membrane in 1/4096, smallest and largest.
        worst_current: largest |u| that any input can cause, as a share of where it wraps around.
        cores: cores of the first Loihi, estimated without sharing of convolution weights.
    """

    layer: str
    kind: str
    shape: str
    weights: int
    bits: int
    clipped: float
    snr: float
    threshold: str
    i_decay: str
    v_decay: str
    worst_current: float
    cores: int


@dataclass(frozen=True)
class ChipReport:
    """The layers that the chip would get, with errors, warnings and notes. Prints as a table.

    Attributes:
        rows: one a layer.
        errors: each names the layer, the value, the limit and the remedy; a network with errors is never written.
        warnings: facts that the user should look at.
        notes: the parts that stay on the host, and the way to feed the chip.
    """

    rows: tuple[ChipLayer, ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data, such as for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        names = [field.name for field in fields(ChipLayer)]
        table = [names, *([_text(getattr(row, name)) for name in names] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table
        ]
        lists = (("error", self.errors), ("warning", self.warnings), ("note", self.notes))
        return "\n".join([*lines, *(f"{kind}: {text}" for kind, texts in lists for text in texts)])


def chip_report(chip: Chip) -> ChipReport:
    """The report on what `chip` describes."""
    errors, warnings, rows, peak = [], list(chip.warnings), [], _peak_input(chip)
    if not chip.blocks:
        errors.append("the network has no layer of neurons: nothing runs on the chip")
    for block in chip.blocks:
        errors += _errors(block, peak)
        warnings += _warnings(block, peak)
        rows.append(_row(block, peak))
        peak = 1
    notes = list(chip.notes)
    if any(block.bias is not None for block in chip.blocks):
        notes.append(
            "neurons with a bias charge before data arrives: load with reset_interval=R >= T and reset_offset=1; "
            f"sample k is then at steps k R + {len(chip.blocks)} and on"
        )
    if any(block.delay is not None or block.recurrent is not None for block in chip.blocks):
        notes.append("Lava's resets leave what is on its way in delays and feedback: load it anew for each sample")
    if any(block.v_decay.any() or (block.i_decay < UNIT).any() for block in chip.blocks if block.unrounded is not None):
        notes.append("neurons with a leak fire above the rounded threshold, not at it as in spikejax")
    notes.append(f"the output comes {len(chip.blocks)} steps late, one for each layer")
    return ChipReport(tuple(rows), tuple(errors), tuple(warnings), tuple(notes))


def _peak_input(chip: Chip) -> int:
    return 1 if chip.input_scale is None else math.ceil(chip.input_scale)


def _errors(block: Block, peak: int) -> Iterator[str]:
    at = f"layer {block.name} ({block.kind})"
    if block.kind == "conv" and len(block.inputs) != 3:
        yield f"{at} has inputs {block.inputs}: NetX has convolutions over (H, W, C) only, so give two space axes"
    yield from (f"{at} {fault}" for fault in weight_faults(_joined(block), block.kind))
    if any(low != high for low, high in block.padding):
        yield f"{at} has padding {block.padding}: it must be the same before and after"
    low, high = _range(block.threshold)
    if low < 1 or high > MAX_THRESHOLD:
        yield (
            f"{at} has thresholds from {low} to {high}, the chip 1 to {MAX_THRESHOLD}: "
            f"{'raise' if low < 1 else 'lower'} v_threshold, or choose another scale"
        )
    for name, least in (("i_decay", 1), ("v_decay", 0)):
        low, high = _range(getattr(block, name))
        if low < least or high > UNIT:
            yield f"{at} has {name} from {low} to {high}, the chip {least} to {UNIT}: change the time constant"
    if block.bias is not None:
        low, high = _range(block.bias)
        if low < MIN_BIAS or high > MAX_BIAS:
            yield f"{at} has biases from {low} to {high}, the chip -4096 to 4095: choose a smaller scale"
        if (block.i_decay < UNIT).any():
            yield (
                f"{at} has a bias and a current that decays: on the chip a bias enters the membrane, not the current, "
                f"so use bias=False there, or a neuron without synaptic current"
            )
    if block.delay is not None and (block.delay.min() < 0 or block.delay.max() > MAX_DELAY):
        yield f"{at} has delays up to {block.delay.max()} steps, the chip 0 to {MAX_DELAY}: shorten them"
    if _worst_sum(block, peak) >= EXACT:
        total = _worst_sum(block, peak)
        yield f"{at} can sum up to {total}, more than {EXACT}: use fewer inputs or a smaller input_scale"


def weight_faults(weights: np.ndarray, kind: str) -> Iterator[str]:
    """Changes that NetX would make to these whole numbers."""
    low, high = weights.min(initial=0), weights.max(initial=0)
    if kind != "conv" and not weights.any():
        yield "has only weights of 0, at which NetX fails to load: train longer, or choose a larger scale"
    mixed = low < 0 < high
    if low < -WEIGHT_RANGE or high > (WEIGHT_RANGE - 2 if mixed else WEIGHT_RANGE - 1):
        yield (
            f"has weights from {low} to {high}, the chip even ones from -256 to 254, or 0 to 255 of one sign: "
            f"choose a smaller scale"
        )
    elif mixed and (weights % 2).any() and max(-low, high) > WEIGHT_RANGE // 2 - 1:
        yield f"has odd weights from {low} to {high}: beyond 127 of both signs only even ones have 8 bits"


def _warnings(block: Block, peak: int) -> Iterator[str]:
    at = f"layer {block.name} ({block.kind})"
    if _worst_current(block, peak) >= 1:
        yield (
            f"{at} can reach {_worst_current(block, peak):.2g} times the current that wraps around at 2**23, if every "
            f"input spikes: look at its real input, or choose a smaller scale"
        )
    if (block.v_decay == UNIT).any():
        yield f"{at} has v_decay 4096: the registers of the chip end at 4095, those of the simulation do not"
    row = _row(block, peak)
    if row.clipped > 0.01:
        yield f"{at} has {row.clipped:.1%} of its weights clipped: choose a smaller scale"
    if row.snr < MIN_SNR:
        yield f"{at} loses its weights to rounding, {row.snr:.0f} dB of signal to noise: choose a larger scale"
    decays, thresholds = (
        len(np.unique(np.stack(np.broadcast_arrays(*values), -1).reshape(-1, len(values)), axis=0))
        for values in ((block.i_decay, block.v_decay), (block.threshold,))
    )
    if decays > MAX_DECAY_SETS or thresholds > MAX_THRESHOLD_SETS:
        yield (
            f"{at} has {decays} pairs of decays and {thresholds} thresholds: a core of the first Loihi holds "
            f"{MAX_DECAY_SETS} and {MAX_THRESHOLD_SETS}, so it takes more cores"
        )


def _joined(block: Block) -> np.ndarray:
    """All weights of a block, which share one format on the chip."""
    parts = [part.ravel() for part in (block.weight, block.recurrent) if part is not None]
    return np.concatenate(parts)


def _range(values: np.ndarray) -> tuple[int, int]:
    return int(values.min()), int(values.max())


def _worst_sum(block: Block, peak: int) -> int:
    """The largest sum of weights that arrives in one step."""
    total = abs(block.weight).reshape(-1, block.weight.shape[-1]).sum(0) * peak
    if block.recurrent is not None:
        total = total + abs(block.recurrent).sum(0)
    return int(total.max())


def _worst_current(block: Block, peak: int) -> float:
    return _worst_sum(block, peak) * (1 << SHIFT) * UNIT / max(_range(block.i_decay)[0], 1) / LIMIT


def _row(block: Block, peak: int) -> ChipLayer:
    weights = _joined(block)
    step = 2 if not (weights % 2).any() else 1
    low, high = weights.min(initial=0) // step, weights.max(initial=0) // step
    bits = max(math.ceil(math.log2(max(high + 1, -low, 1))), 1) + int(low < 0 < high)
    clipped, snr = float("nan"), float("nan")
    if block.unrounded is not None:
        noise = np.sum((block.unrounded - block.weight) ** 2, dtype=np.float64)
        clipped = float(np.mean(abs(block.unrounded - block.weight) > step))
        power = float(np.sum(np.square(block.unrounded, dtype=np.float64)))
        snr = 10 * math.log10(power / noise) if noise and power else float("inf")
    ends = {name: "..".join(map(str, dict.fromkeys(_range(getattr(block, name))))) for name in _NEURON}
    shape = f"{'x'.join(map(str, block.inputs))} -> {'x'.join(map(str, block.outputs))}"
    worst = _worst_current(block, peak)
    return ChipLayer(
        block.name,
        block.kind,
        shape,
        weights.size,
        bits,
        clipped,
        snr,
        **ends,
        worst_current=worst,
        cores=_cores(block),
    )


_NEURON = ("threshold", "i_decay", "v_decay")


def _cores(block: Block) -> int:
    """Cores of the first Loihi: the largest of what neurons, axons and synapses ask for."""
    neurons = math.prod(block.outputs)
    synapses = np.count_nonzero(block.weight)
    if block.kind == "conv":
        synapses *= math.prod(block.outputs[:-1])
    if block.recurrent is not None:
        synapses += np.count_nonzero(block.recurrent)
    needs = (neurons / COMPARTMENTS, math.prod(block.inputs) / AXONS, neurons / AXONS, synapses * 8 / SYNAPSE_BITS)
    return math.ceil(max(needs))


def _text(value: object) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3g}"
    return str(value)
