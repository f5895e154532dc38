"""What is known of how something was made, stage by stage, whether a video says it or the manifests of a store.

The form of a video's line is that of stages/export/provenance.py; of manifests, that of stages/store/manifest.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stages.export.provenance import FORMAT
from stages.keys import KEY_NAME, STAGE_NAME, ArtifactId, Digest, JsonValue, Key, Node, canonical_json
from stages.machine.json_files import parse_json
from stages.pipeline.stages import Pipeline
from stages.store.manifest import Manifest

_MAX_STAGES = 100  # of one video
_NAMES = ("key", "parameters", "components")  # of a stage; `code` came later


@dataclass(frozen=True)
class Made:
    """What made one artifact.

    Attributes:
        stage, key, parameters, components: of its node.
        code: fingerprint of the code that made it; None where that is not known.
        run: what run.json says of the run that made it; None where that is not known.
    """

    stage: str
    key: Key
    parameters: Mapping[str, JsonValue]
    components: Mapping[str, str]
    code: Digest | None = None
    run: Mapping[str, Any] | None = None

    @property
    def artifact(self) -> ArtifactId:
        """Which it was in the store that made it."""
        return ArtifactId(self.stage, self.key)

    @staticmethod
    def of(manifest: Manifest, run: Mapping[str, Any] | None = None) -> "Made":
        """What a manifest says of its artifact."""
        return Made(manifest.stage, manifest.key, manifest.parameters, manifest.components, manifest.code, run)


@dataclass(frozen=True)
class Record:
    """What is known of how one artifact was made.

    Attributes:
        name: the file or artifact, as a person has named it.
        what: what it is, such as "a video" or "latents.safetensors".
        origin: who says so.
        made: each stage that it was made by, in their order.
        missing: artifacts that it was made from of which nothing is known but their names.
        notes: what is doubtful about it, sentences.
    """

    name: str
    what: str
    origin: str
    made: Sequence[Made]
    missing: Sequence[ArtifactId] = ()
    notes: Sequence[str] = field(default=())

    @property
    def prompt(self) -> str | None:
        """The prompt, if one was read."""
        prompts = (made.parameters.get("prompt") for made in self.made if made.stage == "encode")
        return next((prompt for prompt in prompts if isinstance(prompt, str)), None)

    def of_stage(self, stage: str) -> Made | None:
        """What one stage made."""
        return next((made for made in self.made if made.stage == stage), None)

    def in_order(self, pipeline: Pipeline) -> "Record":
        """The same, its stages in the order of a project; those that the project has not stand last, by their names."""
        places = {name: place for place, name in enumerate(pipeline.names)}
        made = sorted(self.made, key=lambda each: (places.get(each.stage, len(places)), each.stage))
        return replace(self, made=tuple(made))

    def with_known(self, others: Iterable[Made]) -> "Record":
        """The same, with code and run as `others` have them, who know of the same bytes.

        They go before what a video says itself: other code may have made the same bytes again since.
        """
        known = {each.artifact: each for each in others}

        def fill(made: Made) -> Made:
            other = known.get(made.artifact)
            return made if other is None else replace(made, code=other.code or made.code, run=other.run or made.run)

        return replace(self, made=tuple(map(fill, self.made)))


def parse_line(text: str) -> tuple[Made, ...]:
    """What the line of JSON in a video's metadata says.

    Raises:
        ValueError: this project has not written it.
    """
    fields = parse_json(text)
    stages = fields.get("stages") if isinstance(fields, dict) else None
    if not isinstance(stages, dict):
        raise ValueError("it is not what this project writes")
    if type(fields.get("format")) is not int or fields["format"] != FORMAT:
        raise ValueError(f"its format is {str(fields.get('format'))[:20]!r}, and this version reads {FORMAT}")
    if not stages or len(stages) > _MAX_STAGES:
        raise ValueError(f"it names {len(stages)} stages")
    return tuple(_parse_stage(name, entry) for name, entry in stages.items())


def find_misfits(made: Sequence[Made], pipeline: Pipeline) -> list[str]:
    """The stages, of those that the project has, whose key does not follow from what is said of them: it was edited."""
    keys = {each.stage: each.key for each in made}
    misfits = []
    for each in made:
        if each.stage not in pipeline.names:
            continue
        stage = pipeline[each.stage]
        producers = () if stage.is_from_file(each.parameters) else pipeline.producers(stage).values()
        inputs = {producer.name: keys[producer.name] for producer in producers if producer.name in keys}
        if Node(each.stage, each.parameters, each.components, inputs).key != each.key:
            misfits.append(each.stage)
    return misfits


def _parse_stage(name: str, entry: Any) -> Made:
    fault = ValueError(f"what it says of the stage {name[:40]!r} is not what this project writes")
    if STAGE_NAME.fullmatch(name) is None or not isinstance(entry, dict) or entry.keys() - {"code"} != {*_NAMES}:
        raise fault
    key, parameters, components, code = (entry.get(each) for each in (*_NAMES, "code"))
    if not _is_digest(key) or not (code is None or _is_digest(code)) or not isinstance(parameters, dict):
        raise fault
    if not isinstance(components, dict) or not all(isinstance(identity, str) for identity in components.values()):
        raise fault
    try:
        canonical_json([parameters, components])
    except (ValueError, RecursionError) as error:  # NaN, half of a surrogate pair, or nested too deeply to be written
        raise fault from error
    return Made(name, Key(str(key)), parameters, components, None if code is None else Digest(code))


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and KEY_NAME.fullmatch(value) is not None
