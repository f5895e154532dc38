"""What passes between the stages."""

import json
from dataclasses import asdict

import pytest

from stages.errors import ContractError
from stages.pipeline.contract import Contract, check_shapes
from stages.pipeline.contracts import EMBEDDINGS, FRAMES, LATENTS, VIDEO


@pytest.mark.parametrize("contract", [EMBEDDINGS, LATENTS, FRAMES, VIDEO])
def test_a_contract_is_read_back_equal_from_json(contract: Contract):
    assert Contract.from_fields(json.loads(json.dumps(asdict(contract)))) == contract


def test_all_misfits_are_reported_at_once():
    with pytest.raises(ContractError) as error:
        check_shapes(LATENTS, {"latent": (1,)}, where="my/file")
    assert str(error.value) == ("my/file: does not hold latents: `latents` is missing; `latent` is not part of it.")


def test_a_misshapen_tensor_is_reported_with_both_shapes():
    with pytest.raises(ContractError) as error:
        check_shapes(LATENTS, {"latents": (1, 16, 3, 6, 6)}, where="my/file")
    assert str(error.value) == (
        "my/file: does not hold latents: `latents` is [1, 16, 3, 6, 6], not [1, 32, >= 1, >= 1, >= 1]."
    )


def test_of_a_file_of_another_kind_some_misfits_are_reported():
    weights = {f"blocks.{index}.weight": (1,) for index in range(2000)}
    with pytest.raises(ContractError) as error:
        check_shapes(LATENTS, weights, where="my/file")
    spare = "; ".join(f"`blocks.{index}.weight` is not part of it" for index in range(15))
    assert str(error.value) == (f"my/file: does not hold latents: `latents` is missing; {spare}; and 1985 more.")


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_an_axis_without_any_size_is_reported(axis: int):
    shape = [1, 32, 3, 6, 6]
    shape[axis] = 0
    with pytest.raises(ContractError) as error:
        check_shapes(LATENTS, {"latents": tuple(shape)}, where="my/file")
    assert str(error.value) == (f"my/file: does not hold latents: `latents` is {shape}, not [1, 32, >= 1, >= 1, >= 1].")


@pytest.mark.parametrize(
    ("contract", "shape", "dtypes"),
    [
        (LATENTS, (1, 32, 3, 6, 6), {"BF16", "F32"}),
        (FRAMES, (1, 9, 96, 96, 3), {"BF16"}),
    ],
)
@pytest.mark.parametrize("dtype", ["BF16", "F32", "F16", "F64", "U8"])
def test_a_tensor_has_one_of_the_dtypes_of_its_contract(
    contract: Contract, shape: tuple[int, ...], dtypes: set[str], dtype: str
):
    name = contract.name  # also of its one tensor
    if dtype in dtypes:
        check_shapes(contract, {name: shape}, where="my/file", dtypes={name: dtype})
        return
    with pytest.raises(ContractError) as error:
        check_shapes(contract, {name: shape}, where="my/file", dtypes={name: dtype})
    wanted = " or ".join(sorted(dtypes))
    assert str(error.value) == f"my/file: does not hold {name}: `{name}` is {dtype}, not {wanted}."
