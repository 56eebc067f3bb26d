import pickle

import numpy as np
import pytest

from spikejax.datasets.npz import read_npz


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_what_was_written(tmp_path, arrays, save):
    file = tmp_path / "set.npz"
    save(file, **arrays, other=np.zeros(3))
    read = read_npz(file)
    assert set(read) == set(arrays)
    for key, array in arrays.items():
        np.testing.assert_array_equal(read[key], array)


def test_missing_arrays_are_named(tmp_path, arrays):
    file = tmp_path / "set.npz"
    np.savez(file, x_train=arrays["x_train"], labels=arrays["y_train"])
    with pytest.raises(ValueError, match=r"lacks y_train, x_test, y_test: found \['labels', 'x_train'\]") as error:
        read_npz(file)
    assert str(file) in str(error.value)


class _Trap:
    """Fails the test when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


def test_objects_are_refused_and_not_loaded(tmp_path, arrays):
    file = tmp_path / "set.npz"
    np.savez(file, **arrays | {"x_test": np.array([_Trap()], dtype=object)})
    with pytest.raises(ValueError, match=r"set\.npz cannot be read .*objects are not loaded"):
        read_npz(file)


def test_a_pickle_named_npz_is_refused_and_not_loaded(tmp_path):
    file = tmp_path / "set.npz"
    file.write_bytes(pickle.dumps(_Trap()))
    with pytest.raises(ValueError, match=r"set\.npz is not an .npz file.*no intact zip archive"):
        read_npz(file)


def test_truncated_archive_is_named(tmp_path, arrays):
    file = tmp_path / "set.npz"
    np.savez(file, **arrays)
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"set\.npz is not an .npz file: its \d+ bytes"):
        read_npz(file)


def test_damaged_array_is_named(tmp_path, arrays):
    file = tmp_path / "set.npz"
    np.savez(file, **arrays)
    content = bytearray(file.read_bytes())
    position = content.find(arrays["x_train"].tobytes())
    content[position] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"set\.npz cannot be read \(Bad CRC-32"):
        read_npz(file)
