"""temporary"""
from functools import reduce
import jax.numpy as jnp
def integer_pow(a, y):
    product = reduce(jnp.multiply, [a] * abs(y))
    return product if y >= 0 else 1 / product
FUNCTIONS = {"integer_pow": integer_pow, "square": lambda a: a*a, "add_any": lambda a,b: a+b, "copy": lambda a: a, "stop_gradient": lambda a: a}
