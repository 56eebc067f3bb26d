"""The implementation on PyTorch of conversion: the converter of SpikingJelly."""

import sys
from types import ModuleType

import torch
from _on_torch import OnTorch, tensor
from _problems import Problem, image, trained
from torch import Tensor, nn


def converted(problem: Problem) -> OnTorch:
    """A network converted by `RateCodingRecipe`, step by step as documented, or in multi-step mode."""
    for name, attribute in (("torch.utils.tensorboard", "SummaryWriter"), ("tqdm", "tqdm"), ("requests", "get")):
        # Its modules import these for logs, progress bars and downloads; the first two would need further packages.
        stub = ModuleType(name)
        setattr(stub, attribute, lambda items, *arguments, **options: items)
        sys.modules.setdefault(name, stub)
    from spikingjelly.activation_based import ann2snn, functional

    x = tensor(image(problem)).movedim(-1, 1).contiguous()
    recipe = ann2snn.RateCodingRecipe(dataloader=[(x, None)], mode="max")
    net = ann2snn.Converter(recipe).convert(_network(problem))
    steps, multi = problem["steps"], problem.get("multi_step", False)
    functional.set_step_mode(net, "m" if multi else "s")

    def over_time(x: Tensor) -> tuple[Tensor, Tensor]:
        functional.reset_net(net)
        if multi:
            sums = net(x.expand(steps, *x.shape)).cumsum(0)
            return sums.argmax(-1), sums[-1]
        total, classes = torch.zeros(()), []
        for _ in range(steps):
            total = total + net(x)
            classes.append(total.argmax(-1))
        return torch.stack(classes), total

    @torch.no_grad()
    def classify() -> dict[str, Tensor]:
        classes, totals = zip(*(over_time(some) for some in x.split(problem["batch"])), strict=True)
        return {"outputs": torch.cat(classes, 1) + 1, "mean": torch.cat(totals) / steps}

    return OnTorch(classify)


def _network(problem: Problem) -> nn.Module:
    kernels, norms = trained(problem)
    layers: list[nn.Module] = []
    for kernel, (scale, bias, mean, var) in zip(kernels[:-1], norms, strict=True):
        conv = nn.Conv2d(*kernel.shape[2:], 3, bias=False)
        norm = nn.BatchNorm2d(kernel.shape[3])
        conv.weight.data = tensor(kernel).permute(3, 2, 0, 1).contiguous()
        norm.weight.data, norm.bias.data = tensor(scale), tensor(bias)
        norm.running_mean, norm.running_var = tensor(mean), tensor(var)
        layers += [conv, norm, nn.ReLU(), nn.AvgPool2d(2, 2)]
    dense = nn.Linear(*kernels[-1].shape, bias=False)
    dense.weight.data = tensor(kernels[-1]).T.contiguous()
    return nn.Sequential(*layers, nn.Flatten(), dense).eval()
