"""What of a prompt stands in quotation marks: the text that a video shall show in letters."""

import re

_QUOTED = re.compile(r'"([^"\n]*)"|“([^”\n]*)”')


def find_quotations(prompt: str) -> list[str]:
    """What stands in straight or curly double quotes, in order, each once. A quotation does not cross a line break.

    Source:
        `extract_glyph_texts` of diffusers' HunyuanVideo15Pipeline.
    """
    return list(dict.fromkeys(straight or curly for straight, curly in _QUOTED.findall(prompt)))
