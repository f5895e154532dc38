"""What is wrong with files of weights is known from their headers."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.models.component_files import ComponentFiles, Picked
from stages.models.weight_headers import explain_memory, read_headers
from stages.pipeline.decode import VAE

NAMES = ("1.safetensors", "2.safetensors")


@pytest.fixture
def files(tmp_path: Path) -> ComponentFiles:
    """A component of two files, with 6 and 4 numbers."""
    save_file({"a": np.zeros((2, 3), np.float32)}, tmp_path / NAMES[0])
    save_file({"b": np.zeros(4, np.float16)}, tmp_path / NAMES[1])
    return ComponentFiles(VAE, tmp_path, Picked(("config.json",), index="index.json", weights=NAMES))


def test_whole_files_have_no_fault(files: ComponentFiles):
    assert read_headers(files).faults == ()


def test_bytes_are_those_of_the_dtype_in_memory(files: ComponentFiles):
    headers = read_headers(files)
    assert (headers.count_bytes("float32"), headers.count_bytes("bfloat16")) == (40, 20)


def test_what_is_not_read_takes_no_memory(files: ComponentFiles):
    assert read_headers(files).count_bytes("float32", lambda name: name == "b") == 16


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"\xff" * 40, b"\x02\x00\x00\x00\x00\x00\x00\x00[]"])
def test_a_file_that_is_not_whole_is_named(files: ComponentFiles, content: bytes):
    (files.folder / NAMES[1]).write_bytes(content)
    (fault,) = read_headers(files).faults
    assert fault.startswith(f"{files.folder}/2.safetensors: not a whole safetensors file (")
    assert fault.endswith("). Download or copy it again.")


def test_a_file_that_git_lfs_has_not_brought_is_named_with_the_command_that_does(files: ComponentFiles):
    path = files.folder / NAMES[1]
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    assert read_headers(files).faults == (
        f"{path}: only names the file, as Git LFS does. Run `git lfs pull` in its repository.",
    )


def test_a_file_that_cannot_be_read_is_named(files: ComponentFiles):
    (files.folder / NAMES[1]).unlink()
    (files.folder / NAMES[0]).unlink()
    (files.folder / NAMES[0]).mkdir()
    directory, missing = read_headers(files).faults
    assert directory.startswith(f"{files.folder}/1.safetensors: not a whole safetensors file (")
    assert missing.startswith(f"{files.folder}/2.safetensors: not a whole safetensors file (")


def test_a_truncated_file_is_named_with_both_sizes(files: ComponentFiles):
    path = files.folder / NAMES[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert read_headers(files).faults == (
        f"{path}: not a whole safetensors file (it has {len(whole) - 1} bytes, its header says {len(whole)}). "
        "Download or copy it again.",
    )


def test_quantised_weights_are_refused(files: ComponentFiles):
    save_file({"b": np.zeros(4, np.int8)}, files.folder / NAMES[1])
    assert read_headers(files).faults == (
        f"{files.folder}: holds tensors of I8, and weights must be F32, F16, BF16. Quantised weights are not "
        "supported; name another checkpoint in params/model.toml.",
    )


def test_weights_that_fit_are_no_fault(files: ComponentFiles):
    assert explain_memory(40, 40, files=files, parameter="decode.dtype", dtype="float32") == []


@pytest.mark.parametrize(
    ("dtype", "advice"),
    [
        ("float32", 'Set decode.dtype = "bfloat16", which takes half of it.'),
        ("bfloat16", "Use a machine with more, or a smaller checkpoint."),
    ],
)
def test_weights_that_do_not_fit_are_told_with_both_sizes(files: ComponentFiles, dtype: str, advice: str):
    assert explain_memory(31 * 2**29, 2**33, files=files, parameter="decode.dtype", dtype=dtype) == [
        f"{files.folder}: its weights take 15.5 GiB in {dtype}, and this machine has 8.0 GiB of memory. {advice}"
    ]
