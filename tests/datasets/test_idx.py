import gzip

import numpy as np
import pytest

from spikejax.datasets.idx import read_idx


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("shape", [(5,), (5, 3, 4)])
def test_reads_what_was_written(tmp_path, to_idx, shape, gzipped):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    content = to_idx(array)
    file = tmp_path / "file"
    file.write_bytes(gzip.compress(content) if gzipped else content)
    read = read_idx(file, len(shape))
    assert read.dtype == np.uint8 and read.flags.writeable
    np.testing.assert_array_equal(read, array)


def _expect_error(tmp_path, content: bytes, match: str) -> None:
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=match) as error:
        read_idx(file, 3)
    assert str(file) in str(error.value)


def test_bad_magic_number_is_named(tmp_path):
    _expect_error(tmp_path, b"<html>" + bytes(50), "magic number is '3c 68 74 6d', expected '00 00 08 03'")


def test_unknown_dtype_is_a_bad_magic_number(tmp_path):
    _expect_error(tmp_path, bytes((0, 0, 0x77, 3)) + bytes(12), "not an IDX file.*'00 00 77 03'")


def test_first_two_bytes_must_be_zero(tmp_path):
    _expect_error(tmp_path, b"\x01\x00\x08\x03" + bytes(12), "not an IDX file: .* '01 00 08 03'")


def test_files_shorter_than_the_magic_number(tmp_path):
    _expect_error(tmp_path, b"", "not an IDX file: its magic number is ''")
    _expect_error(tmp_path, b"\0\0\x08", "not an IDX file: its magic number is '00 00 08'")


def test_wrong_dtype_is_named(tmp_path, to_idx):
    content = to_idx(np.zeros((2, 3, 4), np.float32))
    _expect_error(tmp_path, content, r"\(float32, axes: 3\), expected '00 00 08 03' \(uint8, axes: 3\)")


def test_labels_in_the_place_of_images_are_named(tmp_path, to_idx):
    content = to_idx(np.zeros(4, np.uint8))
    _expect_error(tmp_path, content, r"\(uint8, axes: 1\), expected .*axes: 3\): is it another file")


def test_truncated_header_is_named(tmp_path, to_idx):
    content = to_idx(np.zeros((2, 3, 4), np.uint8))[:9]
    _expect_error(tmp_path, content, "truncated: 9 bytes, expected a header of 16")


def test_truncated_values_are_named(tmp_path, to_idx):
    content = to_idx(np.zeros((2, 3, 4), np.uint8))[:-5]
    _expect_error(tmp_path, content, r"truncated: 19 bytes after the header, expected 24 for the shape \(2, 3, 4\)")


def test_bytes_left_over_are_named(tmp_path, to_idx):
    content = to_idx(np.zeros((2, 3, 4), np.uint8)) + b"\0"
    _expect_error(tmp_path, content, "bytes left over: 25 bytes after the header, expected 24")


def test_header_of_a_huge_array_allocates_nothing(tmp_path):
    content = bytes((0, 0, 8, 3)) + b"\xff" * 12
    _expect_error(tmp_path, content, f"truncated: 0 bytes after the header, expected {(2**32 - 1) ** 3}")


@pytest.mark.parametrize("damage", ["truncated", "value", "block", "header"])
def test_corrupt_gzip_is_named(tmp_path, to_idx, damage):
    content = bytearray(gzip.compress(to_idx(np.random.default_rng(0).integers(0, 256, (9, 3, 4), np.uint8))))
    if damage == "truncated":
        content = content[:-20]
    elif damage == "value":
        content[len(content) // 2] ^= 0xFF
    elif damage == "block":
        content[10] = 0xFF
    else:
        content[2] = 0
    _expect_error(tmp_path, bytes(content), "not an intact gzip file")
