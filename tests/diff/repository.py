"""A git repository of a test's own, which takes no settings of the person who runs it."""

import os
import subprocess
from pathlib import Path


def git(root: Path, *arguments: str) -> str:
    """What git prints."""
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    names = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    environment = {**os.environ, **alone, **dict.fromkeys(names, "nobody@example.org")}
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def commit_all(root: Path, message: str = "change") -> str:
    """Commit all files of a folder, which becomes a repository; the commit."""
    if not (root / ".git").exists():
        git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(root, "rev-parse", "HEAD").strip()
