"""The declaration of a component."""

import json
from dataclasses import asdict

from stages.pipeline.component import Component


def test_a_component_is_read_back_equal_from_json():
    component = Component("tokenizer", "a.json", optional=("b", "c"), alternatives=(("d",), ("e", "f")), weights="g")
    assert Component.from_fields(json.loads(json.dumps(asdict(component)))) == component
