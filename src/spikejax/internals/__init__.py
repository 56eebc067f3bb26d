"""The only place that knows what lies inside JAX: programs, primitives, sharded arrays, kernels that XLA calls.

A release of JAX may change any of it without notice. All else uses what JAX documents as public.
"""

from spikejax.internals.ffi import FFI_VERSION, handler, handler_call, register_handler
from spikejax.internals.primitives import define_primitive, elementwise_primitive, symbol
from spikejax.internals.programs import (
    ClosedJaxpr,
    Jaxpr,
    JaxprEqn,
    Literal,
    Var,
    aval_of,
    bind_equation,
    called_program,
    line_of,
    subprogram,
)
from spikejax.internals.sharding import varying_together

__all__ = [
    "FFI_VERSION",
    "ClosedJaxpr",
    "Jaxpr",
    "JaxprEqn",
    "Literal",
    "Var",
    "aval_of",
    "bind_equation",
    "called_program",
    "define_primitive",
    "elementwise_primitive",
    "handler",
    "handler_call",
    "line_of",
    "register_handler",
    "subprogram",
    "symbol",
    "varying_together",
]
