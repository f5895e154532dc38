"""Why a node runs, as data."""

from stages.explain.reasons import why_absent, why_not_fresh
from stages.keys import Digest, Key, Node
from stages.store.manifest import Manifest
from stages.store.verdict import Reason, Verdict
from tests.builders import PIPELINE, build_node

DENOISE = PIPELINE["denoise"]


def manifest(node: Node) -> Manifest:
    inputs = {artifact: Digest("0" * 32) for artifact in node.input_artifacts}
    return Manifest.of(node, inputs, code=Digest("c" * 32), payload="p", size_bytes=1, digest=Digest("d" * 32))


def differences(before: Node, now: Node) -> dict[str, tuple[object, object]]:
    return {each.field: (each.before, each.now) for each in why_absent(now, manifest(before), PIPELINE[now.stage])}


def test_without_an_earlier_one_it_has_never_been_made():
    assert why_absent(build_node(), None, DENOISE) == (Reason("state", None, "absent"),)


def test_what_was_made_and_removed_is_told_from_that():
    assert why_absent(build_node(), None, DENOISE, was_made=True) == (Reason("state", "fresh", "absent"),)


def test_parameters_are_named_as_people_type_them():
    before, now = build_node("denoise", seed=1, height=64), build_node("denoise", seed=2, height=64)
    assert differences(before, now) == {"denoise.seed": (1, 2)}


def test_a_parameter_that_only_one_of_them_has_is_none_in_the_other():
    before, now = build_node("denoise", flow_shift=5.0), build_node("denoise", window_size=3)
    assert differences(before, now) == {"denoise.window_size": (None, 3), "denoise.flow_shift": (5.0, None)}


def test_a_whole_number_is_not_the_same_as_one_with_a_point_or_true():
    assert differences(build_node("denoise", seed=1), build_node("denoise", seed=1.0)) == {"denoise.seed": (1, 1.0)}
    assert differences(build_node("denoise", seed=1), build_node("denoise", seed=True)) == {"denoise.seed": (1, True)}


def test_components_and_inputs_are_named_with_what_identifies_them():
    before = Node("denoise", {}, {"vae": "a", "old": "b"}, {"encode": Key("1")})
    now = Node("denoise", {}, {"vae": "c"}, {"encode": Key("2")})
    assert differences(before, now) == {
        "components.old": ("b", None),
        "components.vae": ("a", "c"),
        "key.encode": ("1", "2"),
    }


def test_a_file_from_elsewhere_is_all_that_is_said():
    computed, read, other = (
        build_node("denoise", seed=1),
        build_node("denoise", from_file="1" * 32),
        build_node("denoise", from_file="2" * 32),
    )
    assert differences(computed, read) == {"denoise.from_file": (None, "1" * 32)}
    assert differences(read, other) == {"denoise.from_file": ("1" * 32, "2" * 32)}
    assert differences(read, computed) == {"denoise.from_file": ("1" * 32, None)}


def test_files_that_changed_take_the_place_of_the_code_where_they_are_known():
    verdict, file = Verdict("stale", (Reason("code", "1", "2"),)), Reason("code.a.py", "3", "4")
    assert why_not_fresh(verdict, [], {}, [file]) == (file,)
    assert why_not_fresh(verdict, [], {}, []) == verdict.reasons


def test_what_is_made_again_has_no_digest_now_whatever_it_has_at_present():
    verdict = Verdict("stale", (Reason("inputs.encode", "1", "2"),))
    assert why_not_fresh(verdict, ["encode"], {"encode": "1"}, [], waits=True) == (Reason("inputs.encode", "1", None),)
    assert why_not_fresh(verdict, [], {"encode": "1"}, []) == verdict.reasons
    fresh = why_not_fresh(Verdict("fresh"), ["encode"], {"encode": "1"}, [], waits=True)
    assert fresh == (Reason("inputs.encode", "1", None),)


def test_a_forgotten_or_damaged_artifact_runs_whatever_it_reads():
    damage = Verdict("corrupt", (Reason("payload", 5, 6),))
    assert why_not_fresh(damage, ["encode"], {}, []) == damage.reasons
    assert why_not_fresh(Verdict("forgotten"), ["encode"], {}, []) == (Reason("state", "fresh", "forgotten"),)


def test_what_runs_in_any_case_does_not_because_of_what_it_reads():
    verdict = Verdict("stale", (Reason("inputs.encode", "1", "2"), Reason("code", "3", "4")))
    assert why_not_fresh(verdict, ["encode"], {"encode": "1"}, []) == (Reason("code", "3", "4"),)


def test_a_collected_one_says_so():
    assert why_not_fresh(Verdict("collected"), [], {}, []) == (Reason("state", "fresh", "collected"),)
