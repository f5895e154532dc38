"""Tensor files that other tools wrote. Messages are compared whole: they are part of the interface."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from stages.errors import ContractError
from stages.from_file.outside_file import (
    OutsideFile,
    describe_rounding,
    read_outside_file,
    refuse_non_finite,
    restore_bfloat16,
)
from stages.keys import Digest
from stages.machine.regular_files import digest_file
from stages.pipeline.contracts import LATENTS
from tests.builders import PIPELINE
from tests.from_file.builders import (
    Tensors,
    random_embeddings,
    random_latents,
    write_reference_embeddings,
    write_reference_latents,
)

FIX = "Name another file in denoise.from_file, or convert this one."
FINITE_BITS = st.integers(0, 2**16 - 1).filter(lambda bits: bits & 0x7F80 != 0x7F80)  # an exponent of ones: inf, NaN


def read(path: Path, stage: str = "denoise") -> OutsideFile:
    return read_outside_file(path, PIPELINE[stage].makes, stage=stage, digest=digest_file(path))


def message(path: Path) -> str:
    with pytest.raises(ContractError) as error:
        read(path)
    return str(error.value)


def are_equal(one: Tensors, other: Tensors) -> bool:
    """The same names, dtypes and bytes."""
    return {name: (array.dtype, array.tobytes()) for name, array in one.items()} == {
        name: (array.dtype, array.tobytes()) for name, array in other.items()
    }


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_embeddings_of_the_reference_scripts_have_their_dtype_again(tmp_path: Path, dtype: type):
    embeddings = random_embeddings(dtype)
    write_reference_embeddings(tmp_path / "file", embeddings)
    file = read(tmp_path / "file", "encode")
    assert {array.dtype.name for array in file.tensors.values()} == {"float32"}
    restored = restore_bfloat16(file)
    assert are_equal(restored, embeddings)
    assert describe_rounding(file, restored) == []


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_latents_of_the_reference_scripts_stay_as_they_are(tmp_path: Path, dtype: type):
    latents = random_latents(dtype=dtype)
    write_reference_latents(tmp_path / "file", latents)
    assert are_equal(restore_bfloat16(read(tmp_path / "file")), latents)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"dtype_info": '{"other": "bfloat16"}'}])
def test_a_file_that_says_nothing_of_dtypes_keeps_its_own(tmp_path: Path, metadata: dict[str, str] | None):
    latents = random_latents(dtype=np.float32)
    save_file(dict(latents), tmp_path / "file", metadata)
    assert are_equal(restore_bfloat16(read(tmp_path / "file")), latents)


@given(st.lists(FINITE_BITS, min_size=1))
def test_every_bfloat16_number_comes_back_bit_by_bit(bits: list[int]):
    numbers = np.array(bits, np.uint16).view(ml_dtypes.bfloat16)
    file = OutsideFile({"x": numbers.astype(np.float32)}, {"x": "bfloat16"})
    restored = restore_bfloat16(file)
    assert are_equal(restored, {"x": numbers})
    assert describe_rounding(file, restored) == []


def test_values_that_are_no_bfloat16_numbers_are_rounded_and_counted():
    file = OutsideFile(
        {"x": np.array([1, 1 + 2**-9, -1.1], np.float32), "y": np.array([0.1], np.float32)}, {"x": "bfloat16"}
    )
    restored = restore_bfloat16(file)
    assert are_equal(restored, {"x": np.array([1, 1, -1.1015625], ml_dtypes.bfloat16), "y": file.tensors["y"]})
    assert describe_rounding(file, restored) == [
        "2 of 3 values of `x` are no bfloat16 numbers, though its `dtype_info` says so. They were rounded; without "
        "that entry they stay float32."
    ]


def test_all_values_that_are_not_finite_are_reported():
    numbers = np.array([np.nan, np.inf, -np.inf, 0], np.float32)
    tensors = {"x": numbers, "y": numbers.astype(ml_dtypes.bfloat16), "z": np.zeros(2, np.float32)}
    with pytest.raises(ContractError) as error:
        refuse_non_finite(tensors, where=Path("my/file"))
    assert str(error.value) == (
        "my/file: 3 of 4 values of `x` are not finite in float32; 3 of 4 values of `y` are not finite in bfloat16. "
        "Make the file again."
    )


def test_a_number_too_large_for_bfloat16_is_not_finite_in_it():
    largest = np.finfo(np.float32).max
    restored = restore_bfloat16(OutsideFile({"x": np.array([largest])}, {"x": "bfloat16"}))
    with pytest.raises(ContractError, match=r"^my: 1 of 1 values of `x` are not finite in bfloat16\. Make"):
        refuse_non_finite(restored, where=Path("my"))


@pytest.mark.parametrize(
    ("tensors", "fault"),
    [
        ({"latent": np.ones((1, 32, 3, 2, 2), np.float32)}, "`latents` is missing; `latent` is not part of it"),
        (
            {"latents": np.ones((1, 16, 3, 2, 2), np.float32)},
            "`latents` is [1, 16, 3, 2, 2], not [1, 32, >= 1, >= 1, >= 1]",
        ),
        ({"latents": np.ones((1, 32, 3, 2, 2), np.float16)}, "`latents` is F16, not BF16 or F32"),
        ({}, "`latents` is missing"),
    ],
)
def test_a_file_that_breaks_the_contract_is_reported(tmp_path: Path, tensors: dict[str, np.ndarray], fault: str):
    save_file(tensors, tmp_path / "file")
    assert message(tmp_path / "file") == f"{tmp_path}/file: does not hold latents: {fault}. {FIX}"


@pytest.mark.parametrize("content", [b"", b"[encode]\nprompt = 1\n", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{"])
def test_a_file_that_is_no_safetensors_file_is_reported(tmp_path: Path, content: bytes):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(SafetensorError) as library:
        safe_open(path, framework="numpy")
    assert message(path) == f"{path}: not a readable safetensors file ({library.value}). {FIX}"


def test_a_file_that_was_cut_is_never_taken(tmp_path: Path):
    whole, path = tmp_path / "whole", tmp_path / "cut"
    write_reference_latents(whole, {"latents": random_latents()["latents"][:, :, :1, :1, :1]})
    content = whole.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert message(path).startswith(f"{path}: not a readable safetensors file (")


def test_a_file_that_is_not_there_any_more_is_reported(tmp_path: Path):
    with pytest.raises(ContractError) as error:
        read_outside_file(tmp_path / "file", LATENTS, stage="denoise", digest=Digest("0" * 32))
    start = f"{tmp_path}/file: not a readable safetensors file (No such file or directory"
    assert str(error.value).startswith(start)
    assert str(error.value).endswith(f"). {FIX}")


def test_content_that_has_changed_is_reported(tmp_path: Path):
    path = tmp_path / "file"
    write_reference_latents(path, random_latents())
    with pytest.raises(ContractError) as error:
        read_outside_file(path, LATENTS, stage="denoise", digest=Digest("0" * 32))
    assert str(error.value) == f"{path}: has changed since `doit` looked at it. Run `doit` again."


@pytest.mark.parametrize("text", ["bfloat16", "[]", "null", json.dumps("x"), "[" * 100_000])
def test_a_dtype_info_that_is_none_is_reported(tmp_path: Path, text: str):
    path = tmp_path / "file"
    save_file(dict(random_latents()), path, {"dtype_info": text})
    assert message(path) == (f"{path}: its metadata entry `dtype_info` is not a JSON object of names and dtypes. {FIX}")


@pytest.mark.parametrize("value", [3e38, -2e9, 1.1e9])
def test_values_that_overflow_in_what_is_computed_from_them_are_refused(value: float):
    with pytest.raises(ContractError) as error:
        refuse_non_finite({"latents": np.array([0, value], np.float32)}, where=Path("my/file"))
    assert str(error.value) == (
        "my/file: `latents` has values beyond 1e+09, which overflow in what is computed from them. Make the file again."
    )


def test_large_values_that_do_not_overflow_are_read():
    refuse_non_finite({"latents": np.array([-1e9, 65504], np.float32)}, where=Path("my/file"))
