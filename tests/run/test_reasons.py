"""Reasons of the store in words."""

from pathlib import Path

import pytest

from stages.run.reasons import explain_verdict
from stages.store.verdict import Reason, Verdict

PAYLOAD = Path("artifacts/denoise/0/latents.safetensors")


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (Verdict("absent"), "absent"),
        (Verdict("forgotten"), "forgotten"),
        (Verdict("collected"), "collected by `doit gc`"),
        (Verdict("stale", (Reason("code", "a", "b"),)), "the code of denoise has changed"),
        (Verdict("stale", (Reason("inputs.encode", "a", None),)), "encode is to be made"),
        (Verdict("stale", (Reason("inputs.encode", "a", "b"),)), "encode has other bytes now"),
        (
            Verdict("stale", (Reason("code", "a", "b"), Reason("inputs.encode", "a", "b"))),
            "the code of denoise has changed; encode has other bytes now",
        ),
        (Verdict("corrupt", (Reason("payload", 7, None),)), f"{PAYLOAD}: is not there"),
        (Verdict("corrupt", (Reason("payload", 7, 5),)), f"{PAYLOAD}: has 5 bytes, the manifest says 7"),
        (
            Verdict("corrupt", (Reason("digest", "a", "b"),)),
            f"{PAYLOAD}: xxh3 is b, the manifest says a; the file was edited or damaged",
        ),
        (Verdict("corrupt", (Reason("digest", "a", None),)), f"{PAYLOAD}: cannot be read"),
        (Verdict("corrupt", (Reason("manifest", None, "x: not a manifest."),)), "x: not a manifest"),
        (
            Verdict("corrupt", (Reason("manifest", None, "x: not a manifest (y). Run `doit`: it is made again."),)),
            "x: not a manifest (y)",
        ),
    ],
)
def test_each_reason_is_a_sentence(verdict: Verdict, text: str):
    assert explain_verdict(verdict, payload=PAYLOAD, program="denoise") == text
