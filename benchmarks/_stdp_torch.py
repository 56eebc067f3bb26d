"""The implementation on PyTorch of plasticity: the learner of SpikingJelly."""

import sys
from types import ModuleType

import torch
from _on_torch import OnTorch, tensor
from _problems import Problem, spikes
from torch import Tensor, nn


def learner(problem: Problem) -> OnTorch:
    """The multi-step `STDPLearner`, on records of the spikes as its monitors make them."""
    # Its module imports a log writer that it does not use here, and that needs a further package.
    vars(sys.modules.setdefault("torch.utils.tensorboard", ModuleType("tensorboard")))["SummaryWriter"] = None
    from spikingjelly.activation_based import learning

    pre = tensor(spikes(problem)).movedim(-1, 2).contiguous()
    post = tensor(spikes(problem | {"shape": problem["after"]}, seed=2)).movedim(-1, 2).contiguous()
    inputs, outputs = pre.shape[2], post.shape[2]
    dense = pre.ndim == 3
    synapse = nn.Linear(inputs, outputs, bias=False) if dense else nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    one = torch.ones_like
    rule = learning.STDPLearner("m", synapse, nn.Identity(), tau_pre=2.0, tau_post=2.0, f_pre=one, f_post=one)

    def learn() -> dict[str, Tensor]:
        rule.reset()
        rule.in_spike_monitor.records.append(pre)
        rule.out_spike_monitor.records.append(post)
        change = rule.step(on_grad=False)
        back = (1, 0) if dense else (2, 3, 1, 0)
        trace = rule.trace_post if dense else rule.trace_post.movedim(1, -1)
        return {"outputs": trace, "change": change.permute(back)}

    return OnTorch(learn)
