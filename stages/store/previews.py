"""Where previews lie in a store, and what is done with them: `<root>/previews/`.

    denoise/<key>/animation.webp   what the latents of a node are about to become
                  strip.webp       the same as one still picture
    <video>.webp, <video>-strip.webp   links to those of the newest choice of a video
    maps/<identity>.safetensors    how the latents of a VAE become colours

Nothing depends on them: all of it may be deleted at any time. What they show is made in stages/previews/.
"""

import os
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from stages.keys import KEY_NAME, STAGE_NAME, ArtifactId, Key
from stages.store.layout import PREVIEWS
from stages.store.leftovers import File
from stages.store.sharing import make_folder

ANIMATION, STRIP = "animation.webp", "strip.webp"
_OF_FILES: Final = ((ANIMATION, ".webp"), (STRIP, "-strip.webp"))  # and how the links to them end
_MAPS: Final = "maps"
_LINK = re.compile(rf"{STAGE_NAME.pattern}/{KEY_NAME.pattern}/({re.escape(ANIMATION)}|{re.escape(STRIP)})")


def preview_folder(root: Path, artifact: ArtifactId) -> Path:
    """Where the previews of a node are, in the store at `root`."""
    return root / PREVIEWS / artifact.stage / artifact.key


def preview_link(root: Path, video: str) -> Path:
    """Where a person finds the newest preview of a video."""
    return root / PREVIEWS / f"{video}{_OF_FILES[0][1]}"


def map_file(root: Path, identity: str) -> Path:
    """Where the map of the VAE with this identity is or will be."""
    return root / PREVIEWS / _MAPS / f"{identity}.safetensors"


def link_previews(root: Path, videos: Iterable[str], artifact: ArtifactId) -> None:
    """Have the links of videos lead to the previews of a node. What is no such link stays as it is. Raises OSError."""
    folder = root / PREVIEWS
    make_folder(folder, root)
    for video in videos:
        for name, ending in _OF_FILES:
            link, target = folder / f"{video}{ending}", f"{artifact.stage}/{artifact.key}/{name}"
            if not os.path.lexists(link) or (_is_ours(link) and str(link.readlink()) != target):
                new = folder / f".{link.name}.{os.getpid()}.new"
                new.unlink(missing_ok=True)
                new.symlink_to(target)
                try:
                    new.replace(link)
                except OSError:
                    new.unlink()  # in a sticky folder no other user could
                    raise


def preview_folders(root: Path) -> list[Path]:
    """The folders of all nodes' previews."""
    stages = [stage for stage in _list(root / PREVIEWS) if STAGE_NAME.fullmatch(stage.name) and not stage.is_symlink()]
    return [
        folder
        for stage in stages
        for folder in _list(stage)
        if KEY_NAME.fullmatch(folder.name) and not folder.is_symlink()
    ]


def list_previews(root: Path, *, but: Collection[ArtifactId]) -> list[File]:
    """The files of previews of all nodes but these."""
    found = []
    for folder in preview_folders(root):
        if ArtifactId(folder.parent.name, Key(folder.name)) not in but:
            for path in _list(folder):
                with suppress(OSError):
                    status = path.lstat()
                    found.append(File(path, status.st_size, status.st_mtime))
    return found


def unlink_lost_previews(root: Path) -> None:
    """Delete the folders without a preview, and links that lead to nothing. Never raises."""
    folder = root / PREVIEWS
    for path in _list(folder):
        if _is_ours(path) and not path.exists():
            with suppress(OSError):
                path.unlink()
        elif STAGE_NAME.fullmatch(path.name) and path.name != _MAPS and not path.is_symlink():
            for each in (*_list(path), path):
                with suppress(OSError):  # it is not empty, or no folder
                    each.rmdir()


def _list(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _is_ours(link: Path) -> bool:
    """Whether it is a link as `link_previews` makes them."""
    with suppress(OSError):
        return link.is_symlink() and _LINK.fullmatch(str(link.readlink())) is not None
    return False
