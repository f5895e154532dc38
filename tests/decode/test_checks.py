"""What keeps decode from its work is known without JAX and torch."""

from pathlib import Path

from tests.chains import edit_settings, faults_of
from tests.project import copy_checkpoint


def test_a_vae_of_another_geometry_is_refused(tmp_path: Path):
    checkpoint = copy_checkpoint(tmp_path / "model")
    edit_settings(checkpoint / "vae" / "config.json", latent_channels=16)
    (fault,) = faults_of(checkpoint, first="decode")
    assert "`latent_channels` is 16, not 32" in fault
