"""Constants and parameters: what is a leaf, and what the records of both can do."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spikejax as sx
from spikejax import IF, LIF, LeakyIntegrator, ParametricLIF
from spikejax.encoding import Poisson
from spikejax.pytree import Struct
from spikejax.surrogate import ATan, Sigmoid

CONSTANT = [
    IF(),
    IF(v_threshold=2, v_reset=None, detach_reset=True, surrogate=ATan(3.0)),
    LIF(tau=1.5, decay_input=False, v_reset=-0.1),
    LIF(tau=np.float32(2.5), surrogate=Sigmoid(2.0, spiking=False)),
    LeakyIntegrator(tau=7.0),
    Poisson(),
    Sigmoid(),
    ATan(alpha=1.0),
]
ARRAYS = [
    LIF(tau=jnp.array([2.0, 3.0])),
    LIF(v_threshold=np.array([1.0, 2.0], np.float32), v_reset=None),
    ParametricLIF(init_tau=3.0),
    IF(surrogate=ATan(jnp.array(2.0))),
]
both = pytest.mark.parametrize("struct", CONSTANT + ARRAYS, ids=repr)
constant = pytest.mark.parametrize("struct", CONSTANT, ids=repr)
arrays = pytest.mark.parametrize("struct", ARRAYS, ids=repr)


@both
def test_repr_evaluates_back(struct):
    assert eval(repr(struct)) == struct


@constant
def test_constants_are_no_leaves_and_hashable(struct):
    assert jax.tree.leaves(struct) == []
    assert hash(eval(repr(struct))) == hash(struct)


@arrays
def test_arrays_are_leaves_and_not_hashable(struct):
    assert len(jax.tree.leaves(struct)) == 1
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(struct))
    with pytest.raises(TypeError, match=r"has array fields and is not hashable"):
        hash(struct)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (jnp.array([2.0, 3.0]), "jnp.array([2.0, 3.0])"),
        (jnp.array([[0.1, 1 / 3], [1e-20, -0.0]]), "jnp.array([[0.1, 0.33333334], [1e-20, -0.0]])"),
        (jnp.array(1 / 3, jnp.bfloat16), "jnp.array(0.334, jnp.bfloat16)"),
        (jnp.array(65504, jnp.float16), "jnp.array(65500.0, jnp.float16)"),
        (jnp.array([jnp.inf, -jnp.inf, 2.0]), "jnp.array([float('inf'), float('-inf'), 2.0])"),
        (np.float32(0.1), "0.10000000149011612"),
        (float("inf"), "float('inf')"),
        (np.arange(2), "jnp.array([0.0, 1.0])"),
        (jnp.zeros((4, 4)), f"jnp.array([{', '.join(['[0.0, 0.0, 0.0, 0.0]'] * 4)}])"),
    ],
    ids=str,
)
def test_small_arrays_print_as_what_makes_them(array, text):
    class Holder(Struct):
        value: jax.Array | float

    assert repr(Holder(array)) == f"Holder(value={text})"
    again = eval(repr(Holder(array)), {"Holder": Holder, "jnp": jnp})
    assert again == Holder(array)
    assert not isinstance(array, jax.Array) or again.value.dtype == array.dtype


def test_other_arrays_print_as_dtype_and_shape():
    def show(value):
        return repr(LIF(tau=2.0 + value)).split("(tau=")[1].split(", decay")[0]

    shown = []
    jax.jit(lambda value: shown.append(show(value)))(jnp.ones(3))
    assert shown == ["float32[3]"]
    assert (show(jnp.ones(17)), show(jnp.ones((0, 2)))) == ("float32[17]", "float32[0,2]")
    deleted = LIF(tau=jnp.full(2, 2.0))
    jnp.asarray(deleted.tau).delete()
    assert "tau=float32[2]" in repr(deleted)

    class Holder(Struct):
        key: jax.Array

    assert repr(Holder(jax.random.key(0))) == "Holder(key=key<fry>[])"


def test_integers_become_parameters_and_flags_do_not():
    cell = LIF(tau=np.array([2, 3]))
    assert isinstance(cell.tau, jax.Array) and cell.tau.dtype == jnp.float32
    assert jax.jit(lambda tau: LIF(tau=tau).tau)(jnp.array([2, 3])).dtype == jnp.float32
    assert ParametricLIF(w=1).w.dtype == ParametricLIF(w=np.array([1])).w.dtype == jnp.float32
    assert ParametricLIF(w=jnp.array(0.5, jnp.bfloat16)).w.dtype == jnp.bfloat16
    for flag in (jnp.array(True), np.array([True, False])):
        with pytest.raises(TypeError, match=r"`decay_input` must not be an array of booleans.*give True or False"):
            LIF(decay_input=flag)


@both
def test_copies_are_equal(struct):
    for again in (
        pickle.loads(pickle.dumps(struct)),
        copy.deepcopy(struct),
        jax.tree.map(lambda leaf: leaf + 0, struct),
        jax.tree.unflatten(jax.tree.structure(struct), jax.tree.leaves(struct)),
        struct.replace(),
        jax.jit(lambda struct: struct)(struct),
    ):
        assert again == struct
        assert jax.tree.structure(again) == jax.tree.structure(struct)
        assert (again != struct) is False


def test_different_records_are_unequal():
    different = [
        *CONSTANT,
        *ARRAYS,
        LIF(tau=jnp.array([2.0, 4.0])),
        LIF(tau=jnp.array([2.0])),
        LIF(tau=2.0),
        2.0,
    ]
    for i, a in enumerate(different):
        for j, b in enumerate(different):
            assert (a == b) == (i == j), (a, b)
    assert len({*CONSTANT, *CONSTANT}) == len(CONSTANT)
    assert LIF(tau=2) == LIF(tau=2.0) == LIF(tau=np.float64(2.0))
    assert LIF(tau=jnp.float32(2.0)) != LIF(tau=2.0)
    assert LIF(tau=jnp.float32(2.0)) != LIF(tau=jnp.bfloat16(2.0))


@arrays
def test_placeholder_leaves_are_not_validated(struct):
    for make in (lambda leaf: object(), lambda leaf: None, lambda leaf: -1.0, jnp.shape):
        empty = jax.tree.map(make, struct)
        assert type(empty) is type(struct)
    structure = jax.tree.structure(struct)
    assert jax.tree.structure(jax.tree.map(lambda leaf: object(), struct)) == structure
    assert jax.tree.unflatten(structure, jax.tree.leaves(struct)) == struct


def test_paths_name_the_fields():
    cell = LIF(tau=jnp.array(2.0), surrogate=Sigmoid(jnp.array(4.0)))
    paths = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree.leaves_with_path(cell)]
    assert sorted(paths) == ["surrogate.alpha", "tau"]


def test_a_record_cannot_be_changed_in_place():
    with pytest.raises(AttributeError):
        LIF().tau = 3.0  # pyright: ignore[reportAttributeAccessIssue]


def test_replace_turns_constants_into_parameters_and_back():
    cell = LIF(tau=2.0)
    learnt = cell.replace(tau=jnp.array(2.0))
    assert [len(jax.tree.leaves(c)) for c in (cell, learnt, learnt.replace(tau=2.0))] == [0, 1, 0]
    assert learnt.replace(tau=2.0) == cell
    plif = ParametricLIF(init_tau=5.0)
    assert plif.replace(decay_input=False).w == plif.w
    with pytest.raises(TypeError, match=r"ParametricLIF has no field `init_tau`"):
        plif.replace(init_tau=3.0)


@pytest.mark.parametrize("bad", [[1.0], {}, {1.0}, bytearray(b"1")])
def test_a_field_that_cannot_be_a_constant_is_refused(bad):
    class Holder(Struct):
        value: object

    with pytest.raises(TypeError, match=r"`value` must be a number or an array, got .*use jnp.array"):
        Holder(bad)


def test_gradients_reach_arrays_and_only_them():
    xs = jnp.ones((5, 2, 3))

    def loss(cell):
        return sx.run(cell, xs)[1].sum()

    grad = jax.grad(loss)(LIF(tau=jnp.full(3, 3.0), v_threshold=jnp.array(0.8)))
    assert grad.tau.shape == (3,)
    assert grad.v_threshold.shape == ()
    assert jnp.all(grad.tau < 0)
    assert grad.v_threshold < 0
    assert (grad.v_reset, grad.decay_input) == (0.0, True)
    assert jax.tree.leaves(jax.grad(loss)(LIF())) == []


def test_constants_of_equal_value_compile_once():
    traces = []

    @jax.jit
    def double(struct):
        traces.append(struct)
        return jax.tree.map(lambda leaf: 2 * leaf, struct)

    for struct in (*CONSTANT, *ARRAYS):
        double(struct)
        double(pickle.loads(pickle.dumps(struct)))
    assert len(traces) == len(CONSTANT) + len(ARRAYS)
