"""`doit draft`: the videos with fewer steps and smaller frames."""

from dataclasses import replace
from typing import Any

from stages.commands.invocation import Invocation
from stages.commands.run import DRAFT_WORDS, Run


class Draft(Run):
    """As `doit run`, of other parameters: drafts are artifacts of their own, and have links of their own."""

    words = DRAFT_WORDS
    doc_purpose = "make drafts of videos: fewer steps, smaller frames"
    doc_usage = "[VIDEO ...] [stage.name=value ...] [video=NAME]"
    doc_description = """\
Makes each video (default: all) as `doit` would make it of other parameters: half the height and width, or the next
multiple of 16, a third of the steps, and half of export.crop. Prompt, seed, length and all else stay as they are, and
so does whatever a table [draft] in the video's file, or params/draft.toml for all videos, gives another value:

  [draft]
  denoise.num_inference_steps = 10
  denoise.num_frames = 17

A value on the command line is used as it is. A draft is found at artifacts/videos/VIDEO.draft.mp4, beside the video;
what both need, such as the embeddings of the prompt, is made once. Frames of another size begin with another noise, so
a draft shows whether a prompt works and how things move, and not the very picture that the video will have.

Other commands take a draft as VIDEO.draft: `doit list`, `info`, `clean`, `forget`, `pin`, `stop`, `explain`, `verify`,
`inspect`, `diff` and `from`.

`doit gc` counts drafts among what may go: they stay until room is asked for, or while their artifacts are pinned.

Examples:
doit draft
doit draft demo denoise.num_inference_steps=5
doit clean demo.draft
"""

    def invocation(self, params: Any) -> Invocation:
        """As Run's; dodo.py is to know that drafts are meant."""
        return replace(super().invocation(params), is_draft=True)
