from pathlib import Path

import numpy as np
import pytest

from spikejax.datasets import load_fashion_mnist, load_images, load_mnist


def _check(data, arrays, name: str) -> None:
    assert data.name == name
    for key in ("x_train", "x_test"):
        np.testing.assert_array_equal(getattr(data, key)[..., 0], arrays[key])
    for key in ("y_train", "y_test"):
        np.testing.assert_array_equal(getattr(data, key), arrays[key])


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("mark", ["-", "."])
def test_every_spelling_of_the_idx_files(tmp_path, arrays, write_idx_set, mark, gzipped):
    write_idx_set(tmp_path, arrays, mark, gzipped)
    _check(load_mnist(tmp_path), arrays, "mnist")


@pytest.mark.parametrize("folder", ["", "raw", "MNIST/raw"])
def test_usual_folders_of_mnist(tmp_path, arrays, write_idx_set, folder):
    write_idx_set(tmp_path / folder, arrays)
    _check(load_mnist(str(tmp_path)), arrays, "mnist")
    _check(load_images(tmp_path), arrays, "images")


def test_each_data_set_of_one_root_is_found_by_its_name(tmp_path, arrays, write_idx_set):
    inverted = arrays | {key: 255 - arrays[key] for key in ("x_train", "x_test")}
    write_idx_set(tmp_path / "MNIST/raw", arrays)
    write_idx_set(tmp_path / "FashionMNIST/raw", inverted)
    _check(load_mnist(tmp_path), arrays, "mnist")
    _check(load_fashion_mnist(tmp_path), inverted, "fashion-mnist")
    with pytest.raises(ValueError, match=r"holds several data sets, .*MNIST/raw.*FashionMNIST/raw.*give one"):
        load_images(tmp_path)


def test_unzipped_file_goes_before_its_gz(tmp_path, arrays, write_idx_set):
    write_idx_set(tmp_path, arrays | {"x_train": arrays["x_train"] // 2}, gzipped=True)
    write_idx_set(tmp_path, arrays)
    _check(load_mnist(tmp_path), arrays, "mnist")


@pytest.mark.parametrize(
    ("load", "file", "name"),
    [
        (load_mnist, "mnist.npz", "mnist"),
        (load_fashion_mnist, "fashion-mnist.npz", "fashion-mnist"),
        (load_fashion_mnist, "fashion_mnist.npz", "fashion-mnist"),
        (lambda path: load_images(path, name="kmnist"), "kmnist.npz", "kmnist"),
    ],
)
def test_archives_in_the_folder_and_given_directly(tmp_path, arrays, load, file, name):
    np.savez(tmp_path / file, **arrays)
    _check(load(tmp_path), arrays, name)
    _check(load(tmp_path / file), arrays, name)


def test_an_archive_beside_another_set_is_ambiguous(tmp_path, arrays, write_idx_set):
    write_idx_set(tmp_path, arrays)
    for file in ("mnist.npz", "fashion-mnist.npz", "fashion_mnist.npz"):
        np.savez(tmp_path / file, **arrays)
    for load in (load_mnist, load_fashion_mnist, load_images):
        with pytest.raises(ValueError, match=r"holds several data sets, .*mnist.npz.*give one"):
            load(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").unlink()
    _check(load_mnist(tmp_path), arrays, "mnist")
    with pytest.raises(ValueError, match=r"holds several data sets, .*fashion-mnist.npz.*fashion_mnist.npz.*give one"):
        load_fashion_mnist(tmp_path)


def test_archive_of_any_name_given_directly(tmp_path, arrays):
    np.savez(tmp_path / "other.npz", **arrays)
    _check(load_mnist(tmp_path / "other.npz"), arrays, "mnist")


def test_class_names(tmp_path, arrays):
    np.savez(tmp_path / "set.npz", **arrays)
    assert load_mnist(tmp_path / "set.npz").classes == tuple("0123456789")
    fashion = load_fashion_mnist(tmp_path / "set.npz").classes
    assert fashion[0] == "T-shirt/top" and fashion[9] == "Ankle boot" and len(fashion) == 10
    assert load_images(tmp_path / "set.npz", classes="abcdefghij").classes == tuple("abcdefghij")
    with pytest.raises(ValueError, match=r"`y_train` has the label 9, expected 0 to 1 for the classes"):
        load_images(tmp_path / "set.npz", classes=("a", "b"))


@pytest.mark.parametrize("load", [load_mnist, load_fashion_mnist, load_images])
def test_nothing_found_lists_every_file_and_the_remedy(tmp_path, load):
    with pytest.raises(FileNotFoundError) as error:
        load(tmp_path)
    message = str(error.value)
    for stem, ndim in (("train-images", 3), ("train-labels", 1), ("t10k-images", 3), ("t10k-labels", 1)):
        assert f"{stem}-idx{ndim}-ubyte or {stem}.idx{ndim}-ubyte" in message
    assert str(tmp_path / "raw") in message and "each also .gz" in message and "Found of these: none" in message
    own = {
        load_mnist: ("MNIST",),
        load_fashion_mnist: ("FashionMNIST",),
        load_images: ("MNIST", "FashionMNIST"),
    }
    for root in own[load]:
        assert str(tmp_path / root / "raw") in message
    assert ("mnist.npz" in message) and ("images.npz" in message) == (load is load_images)
    assert ("dataset-fashion-mnist" in message) == (load is load_fashion_mnist)


def test_incomplete_set_says_what_was_found(tmp_path, arrays, write_idx_set):
    write_idx_set(tmp_path, arrays)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"Found of these: .*train-images-idx3-ubyte.*t10k-images") as error:
        load_mnist(tmp_path)
    assert str(tmp_path / "t10k-labels-idx1-ubyte") not in str(error.value)


def test_absent_folder_and_absent_archive(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`path`: .* in .*absent, which does not exist"):
        load_mnist(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"`path`: there is no file .*absent.npz: give the folder"):
        load_mnist(tmp_path / "absent.npz")


def test_a_file_that_is_no_archive_is_refused(tmp_path, arrays, write_idx_set):
    write_idx_set(tmp_path, arrays)
    with pytest.raises(ValueError, match=r"`path` must be a folder or an .npz file, .*train-images-idx3-ubyte"):
        load_mnist(tmp_path / "train-images-idx3-ubyte")


def test_images_and_labels_of_two_sets_are_refused(tmp_path, arrays, write_idx_set):
    write_idx_set(tmp_path, arrays | {"y_test": arrays["y_test"][:-2]})
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte has 10 images, but .*t10k-labels.* has 8 labels"):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    ("load", "path", "mean"),
    [
        (load_mnist, Path(__file__).parents[3] / "shared/data/mnist.npz", 0.1307),
        (load_fashion_mnist, Path("/usr/share/datasets/fashion-mnist"), 0.2860),
    ],
    ids=["mnist", "fashion-mnist"],
)
def test_the_real_data_where_they_are_installed(load, path, mean):
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    data = load(path)
    assert data.x_train.shape == (60000, 28, 28, 1) and data.x_test.shape == (10000, 28, 28, 1)
    assert data.x_train.mean() / data.scale == pytest.approx(mean, abs=1e-4)
    assert np.bincount(data.y_test, minlength=10).min() >= 892
