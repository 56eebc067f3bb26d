import hashlib

import numpy as np

from spikejax.datasets import load_digits


def test_digits_have_the_documented_form():
    data = load_digits()
    assert data.name == "digits"
    assert data.scale == 16.0
    assert data.classes == tuple("0123456789")
    assert data.x_train.shape == (1437, 8, 8, 1) and data.x_train.dtype == np.uint8
    assert data.x_test.shape == (360, 8, 8, 1) and data.x_test.dtype == np.uint8
    assert data.y_train.shape == (1437,) and data.y_train.dtype == np.int32
    assert data.y_test.shape == (360,) and data.y_test.dtype == np.int32
    assert data.x_train.min() == data.x_test.min() == 0
    assert data.x_train.max() == data.x_test.max() == data.scale


def test_digits_are_those_of_the_source():
    data = load_digits()
    assert int(data.x_train.sum()) + int(data.x_test.sum()) == 561718
    counts = np.bincount(data.y_train) + np.bincount(data.y_test)
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_split_is_stratified_and_fixed():
    data = load_digits()
    assert np.bincount(data.y_test).tolist() == [36] * 10
    assert hashlib.sha256(data.x_test.tobytes()).hexdigest()[:16] == "5c7259e6f42777a2"


def test_no_image_is_in_both_parts():
    data = load_digits()
    train = {image.tobytes() for image in data.x_train}
    assert len(train) == 1437
    assert not train & {image.tobytes() for image in data.x_test}


def test_each_call_gives_arrays_of_its_own():
    first = load_digits()
    first.x_train[:] = 0
    assert load_digits().x_train.max() == 16


def test_repr_shows_shapes_not_pixels():
    text = repr(load_digits())
    assert text.startswith("ImageData(name='digits', x_train=uint8[1437, 8, 8, 1], y_train=int32[1437]")
    assert "array" not in text
