"""One model at a time."""

import gc
import weakref

import pytest

from stages.run.held_model import HeldModel


class Model:
    """Something that a weak reference can watch."""


def test_a_model_is_loaded_once_for_its_key():
    held: HeldModel[Model] = HeldModel()
    assert held.get("a", Model) is held.get("a", Model)
    assert held.get("a", Model) is not held.get("b", Model)


def test_the_old_model_is_gone_before_the_new_one_is_loaded():
    held: HeldModel[Model] = HeldModel()
    old = weakref.ref(held.get("a", Model))

    def load() -> Model:
        gc.collect()
        assert old() is None
        return Model()

    held.get("b", load)


def test_a_model_that_cannot_be_loaded_is_tried_again():
    held: HeldModel[Model] = HeldModel()
    with pytest.raises(ZeroDivisionError):
        held.get("a", lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    assert isinstance(held.get("a", Model), Model)
