"""A message names the parameter that somebody has written, in the form in which it was written."""

from stages.models.reference import Reference

CHECKPOINT = Reference("org/model", "v1")
COMPONENT = Reference("org/vae", "v1", component="vae")


def test_the_revision_of_a_checkpoint_has_a_parameter_of_its_own():
    assert CHECKPOINT.where == "model.checkpoint = 'org/model'"
    assert CHECKPOINT.where_revision == "model.revision = 'v1'"
    assert CHECKPOINT.setting("v2") == "model.revision = 'v2'"


def test_the_revision_of_a_component_stands_behind_its_hub_id():
    assert COMPONENT.where == COMPONENT.where_revision == "model.components.vae = 'org/vae@v1'"
    assert COMPONENT.setting("v2") == "model.components.vae = 'org/vae@v2'"


def test_a_component_without_a_revision_is_its_place():
    assert Reference("models/vae", component="vae").where == "model.components.vae = 'models/vae'"
