"""The plan of a run: the choice of chunk and method with its reasons, made once and printable."""

from dataclasses import dataclass
from math import ceil, isqrt, prod

import jax

from spikejax.checks import check_integer, check_option
from spikejax.kernels import BACKWARDS, RESIDUALS
from spikejax.typing import Cell, Network, Profile, Shape, StepLimited, StepLimits

METHODS = ("auto", "fused", "scan", "associative")

ENCODED = {"cpu": 2**19}
"""Elements that an encoder makes of a static input in a chunk, by platform: 2 MB, which a cache of a CPU holds, were
fastest for Poisson input [16 to 256, 784]."""
ENCODED_ELSEWHERE = 2**24
"""The same on other platforms, where it only bounds memory."""


@dataclass(frozen=True)
class Plan:
    """The way of a run through time; `print` it to read the choices and their reasons.

    Attributes:
        steps: time steps T.
        chunk: time steps computed layer by layer at once.
        remat: True if each chunk is computed again in the backward pass.
        method: way of one cell through a chunk.
        residuals: arrays that the fused kernel stores for the backward pass.
        backward: way of the fused kernel back through a chunk.
        reasons: a sentence for each choice that was not given.
    """

    steps: int
    chunk: int
    remat: bool
    method: str
    residuals: str = "h"
    backward: str = "scan"
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        chunks = ceil(self.steps / self.chunk)
        remat = ", each computed again in the backward pass" if self.remat else ""
        head = (
            f"{self.steps} steps in {chunks} chunk(s) of at most {self.chunk}{remat}; cells by method {self.method!r}"
        )
        if (self.residuals, self.backward) != ("h", "scan"):
            head += f", which keeps {self.residuals!r} and goes back by {self.backward!r}"
        return "\n".join((head, *(f"- {reason}" for reason in self.reasons)))


def plan(
    cell: Cell,
    steps: int,
    *,
    chunk: int | None = None,
    remat: bool = False,
    method: str = "auto",
    residuals: str = "h",
    backward: str = "scan",
    static: Shape | None = None,
) -> Plan:
    """The plan of `run` for these arguments.

    Args:
        cell: a cell or a network.
        steps: number of time steps T, > 0.
        chunk: as in `run`; None chooses.
        remat: as in `run`.
        method: as in `run`.
        residuals: as in `run`.
        backward: as in `run`.
        static: where one static input is shown at every step, its shape `(N, *)`.

    Raises:
        ValueError: `steps` or `chunk` is not a positive integer, or another argument is unknown, or `residuals` or
            `backward` has nothing to do with `method`.
    """
    check_integer("steps", steps, remedy="a run needs at least one time step")
    check_option("method", method, METHODS)
    check_option("residuals", residuals, RESIDUALS)
    check_option("backward", backward, BACKWARDS)
    for name, value, default in (("residuals", residuals, "h"), ("backward", backward, "scan")):
        if value != default and method in ("scan", "associative"):
            raise ValueError(f"`{name}` {value!r} is of the fused kernel, but method is {method!r}: use method='fused'")
    if static is not None and not (isinstance(static, tuple) and all(isinstance(size, int) for size in static)):
        raise ValueError(f"`static` must be the shape (N, *) of a static input, got {static!r}")
    reasons = []
    if method == "auto":
        reasons.append("method 'auto': 'fused' for every cell in charge, fire and reset, 'scan' for all others")
    if chunk is None:
        chunk, reason = _choose_chunk(cell, steps, remat, static)
        reasons.append(f"chunk {chunk}: {reason}")
    else:
        check_integer("chunk", chunk, remedy=f"give the steps of a chunk, up to all {steps}, or None")
    return Plan(steps, min(chunk, steps), remat, method, residuals, backward, tuple(reasons))


def _choose_chunk(cell: Cell, steps: int, remat: bool, static: Shape | None) -> tuple[int, str]:
    platform = jax.default_backend()
    profile = cell.profile(platform) if isinstance(cell, Network) else _profile_of_cell(cell)
    if profile.whole:
        return steps, profile.whole
    if remat:
        return _divisor(steps, isqrt(steps - 1) + 1), "about sqrt(T), which bounds memory best with remat"
    if not isinstance(cell, Network):
        return steps, "one cell has no layers to interleave"
    if profile.slow_in_loop:
        return steps, profile.slow_in_loop
    if static is None or not profile.encodes:
        return steps, "layer by layer, one matrix product serves all steps"
    most = ENCODED.get(platform, ENCODED_ELSEWHERE)
    chunk = _even(steps, max(1, most // max(1, prod(static))))
    return chunk, f"of a static input an encoder makes {prod(static)} elements a step, to hold about {most} at once"


def _profile_of_cell(cell: Cell) -> Profile:
    limits = cell.limits() if isinstance(cell, StepLimited) else StepLimits()
    return Profile(whole=limits.reason if limits.whole else None)


def _divisor(steps: int, chunk: int) -> int:
    """The divisor of `steps` nearest to `chunk`, within a factor of 2: without a rest no sequence is copied."""
    near = [k for k in range(-(-chunk // 2), 2 * chunk + 1) if steps % k == 0]
    return min(near, key=lambda k: abs(k - chunk)) if near else _even(steps, chunk)


def _even(steps: int, chunk: int) -> int:
    """The chunk nearest below that needs as many chunks, so that the last is not much shorter."""
    return ceil(steps / ceil(steps / chunk))
