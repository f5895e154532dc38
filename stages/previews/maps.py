"""The map of a VAE in a store: fitted to videos that it has decoded there, and kept under its identity.

Nothing is decoded for it: latents and frames of earlier videos lie side by side in the store.
"""

from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from stages.errors import StagesError
from stages.pipeline.contracts import FRAMES, LATENTS
from stages.pipeline.decode import STAGE, VAE
from stages.previews.color_map import NUM_INPUTS, NUM_OUTPUTS, ColorMap, Fit
from stages.store.artifacts import Store
from stages.store.inventory import artifacts_of_stage
from stages.store.manifest import Manifest
from stages.store.manifests import Manifests
from stages.store.previews import map_file
from stages.store.replace_file import write_file
from stages.store.sharing import make_folder
from stages.tensors.files import TensorReader, read_tensors

MAX_CLIPS = 32  # which a map is fitted to: with more it gets no better
# Of all clips, and no fewer: four of the built-in checkpoint's. Fewer give colours that are wrong (3 dB; four: 21 dB).
_MIN_CELLS = 400
_MAX_CELLS = 24_000  # of all clips, forty for each input; fitted in a second
_MAX_LATENT_FRAMES = 13  # of a clip, from its beginning
_WEIGHTS, _CLIPS = "weights", "num_clips"


def find_map(root: Path, identity: str) -> ColorMap | None:
    """The map of a VAE; None while it has decoded too little.

    It is fitted when there is none, and again when there are twice as many videos as it was fitted to, up to
    MAX_CLIPS. Where it cannot be kept it is used all the same.

    Args:
        root: the store's folder.
        identity: of the VAE, as nodes name it.
    """
    known = _read(map_file(root, identity))
    if known is not None and known.num_clips >= MAX_CLIPS:
        return known
    clips = _find_clips(root, identity)
    if not clips or (known is not None and len(clips) < 2 * known.num_clips):
        return known
    found = _fit(root, clips)
    if found is None:
        return known
    with suppress(OSError):
        _write(map_file(root, identity), found, root)
    return found


def _find_clips(root: Path, identity: str) -> list[Manifest]:
    """Manifests of videos that the VAE has decoded, the newest first; no more than MAX_CLIPS."""
    manifests, found = Manifests(root), []
    for _, artifact in sorted(artifacts_of_stage(root / STAGE.name), key=lambda each: _age(each[0])):
        with suppress(StagesError):
            manifest = manifests.find(artifact)
            if manifest is not None and manifest.components.get(VAE.name) == identity and _is_there(root, manifest):
                found.append(manifest)
        if len(found) == MAX_CLIPS:
            break
    return found


def _is_there(root: Path, manifest: Manifest) -> bool:
    """Whether there are both frames and the latents that they were made from; `doit gc` may have deleted some."""
    store, inputs = Store(root), manifest.node.input_artifacts
    files = [store.folder(manifest.node.artifact) / manifest.payload]
    files += [store.folder(each) / LATENTS.payload for each in inputs]
    return manifest.payload == FRAMES.payload and len(inputs) == 1 and all(file.is_file() for file in files)


def _age(folder: Path) -> float:
    with suppress(OSError):
        return -folder.stat().st_mtime
    return 0.0


def _fit(root: Path, clips: list[Manifest]) -> ColorMap | None:
    """The map of these; None where those that can be read are too few."""
    fit = Fit()
    store = Store(root)
    for manifest in clips:
        node = manifest.node
        with suppress(StagesError, OSError, ValueError, KeyError):  # damaged, or deleted meanwhile
            latents = read_tensors(store.folder(node.input_artifacts[0]) / LATENTS.payload)["latents"][0]
            with TensorReader(store.folder(node.artifact) / manifest.payload, "frames") as frames:
                fit.add(latents[:, :_MAX_LATENT_FRAMES], frames, max_cells=_MAX_CELLS // len(clips))
    return fit.solve() if fit.num_cells >= _MIN_CELLS else None


def _read(file: Path) -> ColorMap | None:
    """What a file holds; None where it is not there, or is no map of this form."""
    with suppress(StagesError, OSError, KeyError, ValueError):
        tensors = read_tensors(file)
        weights, num_clips = tensors[_WEIGHTS], int(tensors[_CLIPS][0])
        if weights.shape == (NUM_INPUTS, NUM_OUTPUTS) and np.isfinite(weights).all():
            return ColorMap(weights.astype(np.float32), num_clips)
    return None


def _write(file: Path, found: ColorMap, root: Path) -> None:
    make_folder(file.parent, root)
    content = save({_WEIGHTS: found.weights, _CLIPS: np.array([found.num_clips], np.int32)})
    write_file(file, content, is_synced=False)
