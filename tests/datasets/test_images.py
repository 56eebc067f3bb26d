from pathlib import Path

import numpy as np
import pytest

from spikejax.datasets.images import assemble_images

FILES = {key: Path(f"{key}.file") for key in ("x_train", "y_train", "x_test", "y_test")}


def test_channel_axis_is_added_once(arrays):
    gray = assemble_images("set", arrays, FILES, None)
    assert gray.x_train.shape == (20, 3, 4, 1) and gray.x_test.shape == (10, 3, 4, 1)
    colored = {key: np.stack([x] * 3, -1) if key[0] == "x" else x for key, x in arrays.items()}
    color = assemble_images("set", colored, FILES, None)
    assert color.x_train.shape == (20, 3, 4, 3)
    np.testing.assert_array_equal(color.x_train[..., :1], gray.x_train)


def test_classes_default_to_the_numbers_of_the_labels(arrays):
    assert assemble_images("set", arrays, FILES, None).classes == tuple("0123456789")
    highest = arrays | {"y_test": np.full(10, 255, np.uint8)}
    assert len(assemble_images("set", highest, FILES, None).classes) == 256


def test_labels_of_any_integer_dtype_become_int32(arrays):
    data = assemble_images("set", arrays | {"y_train": arrays["y_train"].astype(np.int64)}, FILES, None)
    assert data.y_train.dtype == data.y_test.dtype == np.int32
    np.testing.assert_array_equal(data.y_train, arrays["y_train"])
    assert data.scale == 255.0


@pytest.mark.parametrize(
    ("key", "change", "match"),
    [
        (
            "x_train",
            lambda x: x / 255,
            r"x_train.file: `x_train` is float64\[20, 3, 4\], expected images uint8",
        ),
        ("x_test", lambda x: x.reshape(10, 12), r"x_test.file: `x_test` is uint8\[10, 12\], expected images"),
        ("y_train", lambda y: y.astype(float), r"y_train.file: `y_train` is float64\[20\], expected integer"),
        ("y_test", lambda y: y[:, None], r"y_test.file: `y_test` is uint8\[10, 1\], expected integer labels"),
        ("y_train", lambda y: y[:-1], r"x_train.file has 20 images, but y_train.file has 19 labels"),
        ("x_test", lambda x: x[1:], r"x_test.file has 9 images, but y_test.file has 10 labels"),
        ("x_test", lambda x: x[:, :2], r"x_test.file: test images of shape \(2, 4\), expected \(3, 4\)"),
        ("x_train", lambda x: x[:, :0], r"x_train.file: `x_train` has the shape \(20, 0, 4\)"),
        ("y_test", lambda y: y.astype(np.int8) - 1, r"y_test.file: `y_test` has labels from -1 to 8"),
        ("y_test", lambda y: y + np.int64(10**12), r"y_test.file: `y_test` has labels from .* at most 65535"),
        ("y_test", lambda y: y + np.uint8(1), r"y_test.file: `y_test` has the label 10, expected 0 to 9"),
    ],
)
def test_arrays_that_do_not_fit_are_named(arrays, key, change, match):
    classes = tuple("0123456789")
    with pytest.raises(ValueError, match=match):
        assemble_images("set", arrays | {key: change(arrays[key])}, FILES, classes)


def test_a_set_without_images_is_refused(arrays):
    with pytest.raises(ValueError, match=r"x_test.file: `x_test` has the shape \(0, 3, 4\)"):
        assemble_images("set", arrays | {"x_test": arrays["x_test"][:0], "y_test": arrays["y_test"][:0]}, FILES, None)
