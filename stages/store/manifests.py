"""The manifests of a store's artifacts: found by the artifact, checked, and read once."""

from pathlib import Path

from stages.errors import StoreError, UnreadableError
from stages.keys import ArtifactId
from stages.machine.regular_files import is_damage, read_regular, reason_of
from stages.store.manifest import FORGOTTEN, MANIFEST, Manifest
from stages.store.payloads import Stamp, stamp_of


class Manifests:
    """Reads manifests. Remembers for its life what has been read; may be used by several threads."""

    def __init__(self, root: Path) -> None:
        """Nothing has been read. `root` is the store's folder."""
        self._root = root
        # Those that have been read, by path, with the stamp of the file: thousands of nodes can have one input. Another
        # manifest has another inode, because it is written elsewhere and renamed.
        self._known: dict[str, tuple[Stamp, Manifest]] = {}

    def find(self, artifact: ArtifactId) -> Manifest | None:
        """The artifact's manifest, or None when there is no such artifact.

        Raises:
            UnreadableError: it cannot be read, and may be whole.
            StoreError: it is damaged, or that of another artifact.
        """
        return self._read(artifact, MANIFEST)

    def find_present(self, artifact: ArtifactId) -> Manifest | None:
        """The same, also of an artifact that is to be made again."""
        return self.find(artifact) or self._read(artifact, FORGOTTEN)

    def _read(self, artifact: ArtifactId, name: str) -> Manifest | None:
        path = f"{self._root}/{artifact.stage}/{artifact.key}/{name}"
        try:
            known, stamp = self._known.get(path), stamp_of(path)
            if known is not None and known[0] == stamp:
                return known[1]
            manifest = Manifest.from_json(read_regular(path).decode())  # as it is: no translated line breaks
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and not is_damage(error):
                raise UnreadableError(path, error) from error
            raise StoreError(f"{path}: not a manifest ({reason_of(error)}). Run `doit`: it is made again.") from error
        if manifest.node.artifact != artifact:
            raise StoreError(f"{path}: is the manifest of {manifest.node.title}. Run `doit`: it is made again.")
        if stamp is not None:
            self._known[path] = stamp, manifest
        return manifest
