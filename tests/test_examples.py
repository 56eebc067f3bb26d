"""Every example runs at its smallest, and prints what it is there to show."""

import re
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
PRINTS = {
    "backpropagation_by_hand": [
        r"largest difference of a weight after the first step: [\d.]+e-0[6-9]|.*: 0.0e\+00",
        r"by hand: last loss 0\.0\d+, test accuracy \d\d\.\d\d%",
        r"spikejax: last loss 0\.0\d+, test accuracy \d\d\.\d\d%",
        r"largest difference of a loss in 44 steps: [\d.]+e-0[6-9]",
    ],
    "convert_deep": [
        r"residual network: test accuracy [89]\d\.\d\d% before the conversion",
        r"  balanced: \d\d\.\d\d% at T = 4, [78]\d\.\d\d% at T = 8, [89]\d\.\d\d% at T = 16",
        r"  picture: runs/convert-deep/residual-network\.png",
        r"vision transformer: test accuracy [89]\d\.\d\d% before the conversion",
        r"  4 size\(s\) of spikes: \d\d\.\d\d% at T = 4, [89]\d\.\d\d% at T = 8, [89]\d\.\d\d% at T = 16",
        r"  picture: runs/convert-deep/vision-transformer\.png",
    ],
    "convert_mnist": [
        r"trained with ReLU: test accuracy [89]\d\.\d\d%",
        r"mode 99\.9%",
        r"layer +shape +largest .*",
        r" +2  6x6x8 .*",
        *(rf" *{mode}: [89]\d\.\d\d% at T = 12" for mode in ("max", r"99\.9%", "1/2", "1/3", "1/4", "1/5", "balanced")),
        r"trained with QCFS: test accuracy [89]\d\.\d\d%",
        r"QCFS: \d\d\.\d\d% at T = 4, [89]\d\.\d\d% at T = 8",
        r"QCFS, signed: \d\d\.\d\d% at T = 4, [89]\d\.\d\d% at T = 8",
        r"QCFS, calibrated: \d\d\.\d\d% at T = 4, [89]\d\.\d\d% at T = 8",
        r"picture: runs/convert-mnist/accuracy_over_time\.png",
    ],
    "custom_neuron": [
        r"membrane 0\.5553 0\.0000 0\.4529 0\.4618  spikes \[0 1 0 0\]",
        r"root of the mean squared error of the firing rates: 0\.179 before, 0\.1[0-6]\d after training",
    ],
    "delayed_reward": [
        r"reward after  1 steps, MSTDP  : right choices \d\d%, at last (9\d|100)%",
        r"reward after  1 steps, MSTDPET: right choices \d\d%, at last (9\d|100)%",
        r"reward after 10 steps, MSTDP  : right choices \d\d%, at last [67]\d%",
        r"reward after 10 steps, MSTDPET: right choices \d\d%, at last (9\d|100)%",
        r"reward after 30 steps, MSTDP  : right choices \d\d%, at last [67]\d%",
        r"reward after 30 steps, MSTDPET: right choices \d\d%, at last (9\d|100)%",
    ],
    "firing_rate": [
        r"largest difference between rate and clipped ReLU: 0\.03\d\d, 1 / T = 0\.0312",
        r"picture: runs/firing-rate/firing_rate\.png",
    ],
    "gradient_through_depth": [
        r"alpha  0\.1: 5\.7e\+00( +\d\.\de-\d\d){9}",
        r"alpha  8\.0: 5\.7e\+00( +\d\.\de[+-]0[01]){9}",
        r"picture: runs/gradient-through-depth/gradient_through_depth\.png",
    ],
    "lynxi_mnist": [
        r"epoch +1/1 .*",
        r"spikejax, float32: test accuracy \d+\.\d\d%",
        r"step form, float16: test accuracy \d+\.\d\d%",
        r"unrolled form, float16: test accuracy \d+\.\d\d%",
    ],
    "learned_delays": [
        rf"which lag of 4, delays {name}: test accuracy \d+\.\d%" for name in ("none", "random", "learnt")
    ],
    "loihi_mnist": [
        r"1 epochs in floating point: test accuracy \d+\.\d\d%",
        r"and one in integers: test accuracy \d+\.\d\d%",
        r"layer +kind +shape .*",
        *[r"\d+ +(conv|dense) .*"] * 6,
        r"note: the Poisson encoder stays on the host: the chip takes its spikes",
        r"note: the output comes 6 steps late, one for each layer",
        r"runs/loihi-mnist/mnist\.net in Loihi's integers: test accuracy \d+\.\d\d%",
    ],
    "mnist_fully_connected": [
        r"epoch +1/2 .*",
        r"epoch +2/2 .*",
        r"finished: test accuracy \d+\.\d\d%, best of 2 \d+\.\d\d%",
        r"firing rates for the first test image, a 5:( [01]\.\d\d){10}",
    ],
    "nir_exchange": [
        r"nodes: conv_0 Conv2d, .*, recurrent_5 NIRGraph, sumpool_2 SumPool2d",
        r"spikes in 10 steps: 272, of the network read back: 272",
        r"spikes that differ: 0",
    ],
    "one_neuron": [
        r"one LIF neuron: spikes at steps 34",
        r"32 IF neurons: \d+ spikes; 32 fire every ceil\(1 / current\) steps",
        r"pictures: if_membranes.png, if_spikes.png, one_lif.png",
    ],
    "sequential_fashion_mnist": [
        *(
            rf"{kind}: training \d+\.\d\d%, test \d+\.\d\d% after 2 epochs, \d\.\d minutes"
            for kind in ("plain", "stateful synapses", "feedback")
        ),
        r"picture: runs/sequential-fashion-mnist/accuracy\.png",
    ],
    "stdp_and_gradient": [r"epoch [1-5]: first layer by STDP, read-out by gradient: test accuracy \d\d\.\d\d%"] * 5,
    "stdp_traces": [
        r"one synapse: 12 spikes in, 4 out, weight 0\.4 to 0\.3996",
        r"two inputs, STDP: weights 0\.70, 0\.20 to 0\.76, 0\.14",
        r"two inputs, anti-STDP: weights 0\.70, 0\.20 to 0\.64, 0\.26",
        r"given spikes alone: change 1\.41, -1\.41",
        r"picture: runs/stdp-traces/stdp_traces\.png",
    ],
    "train_digits": [r"epoch  1  loss 0\.\d{4}  test accuracy \d\d\.\d\d%"],
    "unsupervised_mnist": [
        r"50 neurons, 1 pass\(es\) without labels in \d\.\d minutes",
        r"test accuracy [67]\d\.\d\d%",
        r"picture: runs/unsupervised-mnist/receptive_fields\.png",
    ],
}


def test_every_example_is_run_and_described():
    names = {path.stem for path in FOLDER.glob("*.py")}
    assert names == set(PRINTS)
    readme = (FOLDER / "README.md").read_text()
    assert names == set(re.findall(r"\[`(\w+)\.py`\]\(\1\.py\)", readme))


@pytest.mark.parametrize("name", PRINTS)
def test_example(name, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--tiny"])
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(PRINTS[name])
    for line, pattern in zip(lines, PRINTS[name], strict=True):
        assert re.fullmatch(pattern, line), line
