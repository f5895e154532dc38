"""Shared by all tests: shapes in annotations are checked on every call; the network is never used."""

import os

from jaxtyping import install_import_hook

os.environ["HF_HUB_OFFLINE"] = "1"
install_import_hook("stages", "beartype.beartype")
