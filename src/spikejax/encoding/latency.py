"""Values to the time of one spike."""

from typing import Literal

import jax.numpy as jnp

from spikejax.checks import check_integer, check_option
from spikejax.encoding.timed import Timed, within
from spikejax.pytree import Struct
from spikejax.typing import Array


class Latency(Timed, Struct):
    """Latency coding: one spike in T steps, the earlier the larger the value.

        s[t] = 1 where t mod T = t_f(x), else 0
        t_f(x) = round((T - 1) (1 - x))                                              linear
        t_f(x) = round((T - 1) - ln(alpha x + 1)),    alpha = exp(T - 1) - 1         log

    So x = 1 fires at step 0 and x = 0 at step T - 1; halves round to the even step. After T steps it begins again.
    Spikes have no gradient with respect to `x`. Values outside [0, 1] are refused where they can be seen, that is
    outside `jit`; inside it, a value whose t_f is no step of the period never fires.

    Args:
        T: steps of a period, an integer >= 1.
        form: "linear", or "log", which spreads small values.

    Raises:
        ValueError: `T` < 1, or `form` is unknown; a value outside [0, 1] when it is encoded.

    Source: Thorpe and Gautrais, "Rank order coding", 1998, the idea; both forms as SpikingJelly's LatencyEncoder,
    whose documentation gives alpha by t_f(1) = T - 1: it follows from t_f(1) = 0, and t_f(0) is T - 1.
    """

    T: int
    form: Literal["linear", "log"] = "linear"

    def validate(self) -> None:
        """Raises ValueError unless T is a number of steps and the form is known."""
        check_integer("T", self.T, remedy="it is the number of steps in which a value has its spike")
        check_option("form", self.form, ("linear", "log"))

    def checked(self, x: Array) -> Array:
        """The input, within [0, 1]."""
        return within(x, 1, "1 fires first and 0 last: scale the input")

    def encode(self, t: Array, x: Array) -> Array:
        """The spikes of step `t`."""
        last = self.T - 1
        value = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if self.form == "linear":
            first = last * (1 - value)
        else:  # alpha x + 1 is exp(T - 1) x + (1 - x), and overflows
            first = last - jnp.logaddexp(last + jnp.log(value), jnp.log1p(-value))
        return (jnp.round(first) == t % self.T).astype(x.dtype)
