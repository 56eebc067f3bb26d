"""The CPU kernel's machine code: every instruction, every way into it, and who runs it."""

import ctypes
import gc
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec
from tests.cells.runs import close
from tests.kernels.machine import by_machine_code

import spikejax as sx
from spikejax.kernels import explain_backend, fused_scan
from spikejax.kernels.blocks import block_equations
from spikejax.kernels.llvm import compiler, neurons, table
from spikejax.kernels.llvm.access import block_program
from spikejax.sequence import Steps

SPECIAL = [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 1e-3, 1e9, -1e9, 3e38, np.inf, -np.inf, np.nan]
FLOATS = np.array(SPECIAL, np.float32)
OTHERS = np.roll(FLOATS, 5)
INTS = np.array([0, 1, -1, 2, 5, -7, 31, 1 << 20, -(1 << 30), 2**31 - 1, -(2**31)], np.int32)
DIVISORS = np.array([0, -1, 1, 3, -4, 0, -1, 7, 2, 0, -1], np.int32)
SHIFTS = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 30, 31], np.int32)
TRUTH = FLOATS > 0
HALF = FLOATS.astype(jnp.bfloat16)
BYTES = np.arange(0, 256, 17, dtype=np.uint8)

OPERATIONS = {
    "add": (lax.add, FLOATS, OTHERS),
    "sub": (lax.sub, FLOATS, OTHERS),
    "mul": (lax.mul, FLOATS, OTHERS),
    "div": (lax.div, FLOATS, OTHERS),
    "rem": (lax.rem, FLOATS, np.abs(OTHERS) * np.float32(0.7)),
    "neg": (lax.neg, FLOATS),
    "abs": (lax.abs, FLOATS),
    "sqrt": (lax.sqrt, FLOATS),
    "floor": (lax.floor, FLOATS),
    "ceil": (lax.ceil, FLOATS),
    "round-even": (partial(lax.round, rounding_method=lax.RoundingMethod.TO_NEAREST_EVEN), FLOATS),
    "round-away": (partial(lax.round, rounding_method=lax.RoundingMethod.AWAY_FROM_ZERO), FLOATS),
    "max": (lax.max, FLOATS, OTHERS),
    "min": (lax.min, FLOATS, OTHERS),
    "clamp": (partial(lax.clamp, np.float32(-1), max=np.float32(2)), FLOATS),
    "sign": (lax.sign, FLOATS),
    "is_finite": (lax.is_finite, FLOATS),
    "eq": (lax.eq, FLOATS, FLOATS),
    "ne": (lax.ne, FLOATS, FLOATS),
    "lt": (lax.lt, FLOATS, OTHERS),
    "le": (lax.le, FLOATS, FLOATS),
    "gt": (lax.gt, FLOATS, OTHERS),
    "ge": (lax.ge, FLOATS, FLOATS),
    "select": (lax.select, TRUTH, FLOATS, OTHERS),
    "and": (lambda a: (a > 0) & (a < 2), FLOATS),
    "or": (lambda a: (a > 1) | (a < -1), FLOATS),
    "xor": (lambda a: (a > 0) ^ (a < 2), FLOATS),
    "not": (lambda a: ~(a > 0), FLOATS),
    "truths-equal": (lambda a: (a > 0) == (a < 2), FLOATS),
    "int-add": (lax.add, INTS, SHIFTS),
    "int-sub": (lax.sub, INTS, SHIFTS),
    "int-mul": (lax.mul, INTS, SHIFTS),
    "int-div": (lax.div, INTS, DIVISORS),
    "int-rem": (lax.rem, INTS, DIVISORS),
    "int-neg": (lax.neg, INTS),
    "int-max": (lax.max, INTS, SHIFTS),
    "int-min": (lax.min, INTS, SHIFTS),
    "int-lt": (lax.lt, INTS, SHIFTS),
    "int-ge": (lax.ge, INTS, INTS),
    "int-not": (lax.bitwise_not, INTS),
    "shift_left": (lax.shift_left, INTS, SHIFTS),
    "shift_right_arithmetic": (lax.shift_right_arithmetic, INTS, SHIFTS),
    "shift_right_logical": (lax.shift_right_logical, INTS, SHIFTS),
    "bytes-and": (lax.bitwise_and, BYTES, BYTES[::-1]),
    "float-int": (lambda a: a.astype(jnp.int32), FLOATS),
    "float-byte": (lambda a: a.astype(jnp.uint8), np.abs(FLOATS[:10])),
    "float-bool": (lambda a: a.astype(bool), FLOATS),
    "int-float": (lambda a: a.astype(jnp.float32), INTS),
    "int-byte": (lambda a: a.astype(jnp.uint8), INTS),
    "int-bool": (lambda a: a.astype(bool), INTS),
    "byte-float": (lambda a: a.astype(jnp.float32), BYTES),
    "byte-int": (lambda a: a.astype(jnp.int32), BYTES),
    "bool-float": (lambda a: (a > 0).astype(jnp.float32), FLOATS),
    "bool-int": (lambda a: (a > 0).astype(jnp.int32), FLOATS),
    "float-half": (lambda a: a.astype(jnp.bfloat16), np.concatenate((FLOATS, np.float32(1) + np.arange(32) / 2048))),
    "half-float": (lambda a: a.astype(jnp.float32), HALF),
    "half-add": (lax.add, HALF, HALF[::-1]),
    "half-lt": (lax.lt, HALF, HALF[::-1]),
    "half-constant": (lambda a: 0.5 * a + 1, HALF),
    "shift-beyond": (
        lambda a, by: (a << (by + 28)) ^ lax.shift_right_logical(a, by + 28) ^ (a >> (by + 28)),
        INTS,
        SHIFTS,
    ),
    "bits": (partial(lax.bitcast_convert_type, new_dtype=jnp.int32), FLOATS),
    "from-bits": (partial(lax.bitcast_convert_type, new_dtype=jnp.float32), INTS),
    "exp": (lax.exp, np.linspace(-80, 80, 61, dtype=np.float32)),
    "tanh": (lax.tanh, np.linspace(-9, 9, 61, dtype=np.float32)),
    "sin": (lax.sin, np.linspace(-90, 90, 61, dtype=np.float32)),
    "pow": (lax.pow, np.linspace(0.1, 9, 61, dtype=np.float32), np.linspace(-4, 5, 61, dtype=np.float32)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_instructions(name):
    function, *args = OPERATIONS[name]
    args = [np.tile(a, 3)[: 2 * 16 + 5] for a in args]  # vectors, and a tail
    got, want = by_machine_code(function, *args), np.asarray(function(*map(jnp.asarray, args)))
    assert got.dtype == want.dtype
    exact = name not in ("exp", "tanh", "sin", "pow")
    if exact:
        kind = {1: np.uint8, 2: np.uint16, 4: np.uint32}[got.dtype.itemsize]
        number = got == got  # a NaN has many patterns
        np.testing.assert_array_equal(number, want == want)
        np.testing.assert_array_equal(got.view(kind)[number], want.view(kind)[number])
    else:
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)


CELL = sx.ALIF(tau=jnp.array(2.5), v_threshold=0.5)


def both(cell, xs, backend):
    def loss(cell, xs):
        last, ys = fused_scan(cell, cell.init_state(xs.shape[1:]), xs, backend=backend)
        return jnp.sum(ys * jnp.arange(xs.shape[-1])) + last.v.sum(), ys

    return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(cell, xs)


def test_threads_share_the_tiles_of_many_neurons_whoever_else_computes():
    xs = 2 * jax.random.uniform(jax.random.key(0), (32, 20011))
    assert xs.size > table.MIN_SHARED_ELEMENTS
    row, nothing = [jax.ShapeDtypeStruct((32, 20011), jnp.float32)], block_program(lambda access, *_: None, [], 16)
    assert neurons.neurons_code("test", {16: nothing}, row, 1).helpers == 19
    want = both(CELL, xs, "xla")
    run = jax.jit(partial(both, backend="llvm"))
    close(run(CELL, xs), want, 1e-5)
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: run(CELL, xs), range(40)):
            close(got, want, 1e-5)


@pytest.mark.parametrize("off", [0, 4])
def test_large_arrays_are_written_past_the_caches_where_they_are_aligned(off, monkeypatch):
    monkeypatch.setattr(neurons, "MIN_STREAMED_BYTES", 0)
    arrays = [jax.ShapeDtypeStruct((3, 64), jnp.float32)] * 2

    def on_refs(access, source, target):
        for t in range(3):
            access.write(target, 2 * access.read(source, t), t)

    module = neurons.neurons_code("test", {16: block_program(on_refs, arrays, 16)}, arrays, 1).text
    assert module.count("!nontemporal") == 3
    ragged = [jax.ShapeDtypeStruct((3, 72), jnp.float32)] * 2
    assert "!nontemporal" not in neurons.neurons_code("test", {16: block_program(on_refs, ragged, 16)}, ragged, 1).text
    engine = compiler.compiled(module)
    tile = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(engine.get_function_address("tile"))
    memory = np.zeros(2 * 3 * 64 + 64, np.float32)
    start = -memory.ctypes.data % 64 // 4 + off // 4
    source, target = memory[start : start + 192], memory[start + 192 : start + 384]
    source[:] = np.arange(192)
    addresses = (ctypes.c_void_p * 2)(source.ctypes.data, target.ctypes.data)
    tile(ctypes.addressof(addresses), 0)
    np.testing.assert_array_equal(target, 2 * np.arange(192))


def test_a_large_run_equals_one_by_xla():
    xs = 2 * jax.random.uniform(jax.random.key(0), (33, 65536))
    assert xs.nbytes > neurons.MIN_STREAMED_BYTES
    close(both(sx.LIF(), xs, "llvm"), both(sx.LIF(), xs, "xla"), 1e-5)


def test_a_kernel_runs_on_what_shard_map_gives_it():
    mesh = jax.make_mesh((1,), ("neurons",), axis_types=(jax.sharding.AxisType.Auto,))
    xs, by = 2 * jax.random.uniform(jax.random.key(0), (4, 3, 5)), PartitionSpec(None, None, "neurons")
    run = lambda xs: fused_scan(sx.LIF(), sx.LIF().init_state(xs.shape[1:]), xs)[1]  # noqa: E731
    split = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=by, out_specs=by))
    np.testing.assert_array_equal(split(xs), run(xs))
    assert "spikejax_forward" in split.lower(xs).as_text()


def test_where_there_are_no_instructions_xla_compiles_the_loop():
    class Rare(sx.Neuron):
        def charge(self, state, x):
            return state._replace(v=state.v + lax.erf_inv(jnp.clip(x, -0.9, 0.9)))

    shape = (3, 5)
    assert explain_backend(Rare(), shape) == (
        "xla",
        "there is no CPU kernel, because its equations use `erf_inv` of float32, for which the CPU kernel has no "
        "instructions",
    )
    xs = jax.random.normal(jax.random.key(0), (4, *shape))
    np.testing.assert_array_equal(fused_scan(Rare(), Rare().init_state(shape), xs)[1], sx.run(Rare(), xs)[1])
    half = sx.run(sx.LIF(), xs.astype(jnp.float16), sx.LIF().init_state(shape, jnp.float16))[1]
    assert half.dtype == jnp.float16


def test_on_other_platforms_the_loop_is_xlas():
    run = jax.jit(lambda xs: fused_scan(sx.LIF(), sx.LIF().init_state((5,)), xs, backend="llvm")[1])
    lowered = run.trace(jnp.ones((3, 5))).lower(lowering_platforms=("tpu",)).as_text()
    assert "custom_call" not in lowered and "while" in lowered


@pytest.mark.parametrize("cell", [sx.LIF(tau=2.5, surrogate=sx.surrogate.ATan()), sx.IF(surrogate=sx.surrogate.ATan())])
def test_a_bfloat16_state_is_computed_as_by_xla(cell):
    xs = 2 * jax.random.uniform(jax.random.key(0), (5, 37), jnp.bfloat16)

    def both(backend):
        def loss(xs):
            last, ys = fused_scan(cell, cell.init_state((37,), jnp.bfloat16), xs, backend=backend)
            return ys.sum() + last.v.sum(), (ys, last.v)

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(xs)

    got, want = both("llvm"), both("xla")
    for a, b in zip(*map(jax.tree.leaves, (got, want)), strict=True):
        np.testing.assert_allclose(np.float32(a), np.float32(b), rtol=2e-2, atol=2e-2)


def test_what_is_known_of_a_cell_does_not_depend_on_how_it_first_ran():
    cell, xs = sx.NoisyLIF(v_threshold=0.7), jnp.ones((1, 3, 7))
    with jax.disable_jit():
        sx.run(cell, xs, cell.init_state((3, 7), key=jax.random.key(0)))
    assert explain_backend(cell, (3, 7)).backend == "llvm"


def test_what_a_kernel_lacks_is_said():
    state = sx.LIF().init_state((5,), jnp.float16)
    with pytest.raises(
        ValueError,
        match=r"`backend` 'llvm' has no kernel for LIF, because its equations use `.*` of float16, .*; or use 'xla'",
    ):
        fused_scan(sx.LIF(), state, jnp.ones((3, 5), jnp.float16), backend="llvm")


def test_a_refusal_holds_no_arrays():
    class Mixing(sx.Neuron):
        def charge(self, state, x):
            return state._replace(v=state.v + x.mean())

    gc.freeze()  # what there is already need not be looked through at each trace
    with jax.checking_leaks():
        jax.jit(lambda xs: fused_scan(Mixing(), Mixing().init_state((5,)), xs)[1])(jnp.ones((3, 5)))
    gc.unfreeze()
    errors = []
    for _ in range(2):
        with pytest.raises(ValueError, match="reduce_sum") as error:
            block_equations(Mixing(), Mixing().init_state((5,)), Steps(jnp.ones((3, 5))))
        errors.append(error.value)
    assert errors[0] is not errors[1]
