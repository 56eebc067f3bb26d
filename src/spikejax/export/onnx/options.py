"""Options of the ONNX exporter."""

from dataclasses import dataclass
from typing import Literal, get_args

from spikejax.checks import check_integer, check_option

Form = Literal["step", "unrolled"]
Dtype = Literal["float32", "float16"]
ImageLayout = Literal["NCHW", "NHWC"]
Input = Literal["static", "sequence"]
Readout = Literal["mean", "sum", "none"]
Target = Literal["lynxi", "any"]

OPSETS = range(11, 22)
"""Operator sets whose operators are those written here."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `check` and `write`, which take them by keyword.

    Args:
        form: "step", one time step with the state as inputs and outputs; or "unrolled", all steps, the state inside.
        steps: time steps T of the unrolled form.
        batch: samples N at a time; shapes in the file are fixed.
        opset: version of ONNX's operators, from 11 to 21; 13 is what compilers of chips know best.
        dtype: of weights, thresholds, states, inputs and outputs.
        layout: axes of images at inputs and outputs; inside they are NCHW.
        input: of the unrolled form, "static", `[N, *]` shown at every step (the default), or "sequence", `[T * N, *]`.
        readout: of the unrolled form, "mean" (the default) or "sum" over the steps, `[N, *]`, or "none", `[T * N, *]`.
        target: "lynxi" refuses what exceeds the limits of the chips, "any" only warns.

    Raises:
        ValueError: a value out of its range, or one given that has no effect in the step form.
    """

    form: Form = "step"
    steps: int | None = None
    batch: int = 1
    opset: int = 13
    dtype: Dtype = "float32"
    layout: ImageLayout = "NCHW"
    input: Input | None = None
    readout: Readout | None = None
    target: Target = "lynxi"

    def __post_init__(self) -> None:
        choices = {"form": Form, "dtype": Dtype, "layout": ImageLayout, "target": Target}
        unrolled = {"input": Input, "readout": Readout}
        for name, allowed in (choices | unrolled).items():
            value = getattr(self, name)
            if name in choices or value is not None:
                check_option(name, value, get_args(allowed))
        for name in ("steps", *unrolled):
            if self.form == "step" and getattr(self, name) is not None:
                raise ValueError(f"`{name}` has no effect in the step form, whose host counts the steps: leave it out")
        if self.form == "unrolled":
            check_integer("steps", self.steps, remedy="the unrolled form repeats the step as often")
        check_integer("batch", self.batch)
        check_integer("opset", self.opset, ge=OPSETS[0], le=OPSETS[-1])

    @property
    def static(self) -> bool:
        """True if one input serves all steps."""
        return self.form == "unrolled" and self.input != "sequence"
