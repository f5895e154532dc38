"""Sizes of HunyuanVideo-1.5: pixels, latents and tokens, and the arithmetic between them.

Frames are in time units of the video, heights and widths in pixels unless the name says latent.
Source: VAE and DiT configs of HunyuanVideo-1.5 (vae/config.json, transformer/config.json).
"""

from dataclasses import dataclass

SPATIAL_COMPRESSION = 16  # pixels of height or width per latent cell
TEMPORAL_COMPRESSION = 4  # frames per latent frame, after the first, which stands alone
LATENT_CHANNELS = 32
MAX_PROMPT_TOKENS = 1000  # of the first text encoder, after the system prompt is cropped
MAX_GLYPH_TOKENS = 256  # of the second text encoder (quoted text, byte by byte)


@dataclass(frozen=True)
class VideoSize:
    """Frames, height and width of a video, in frames and pixels."""

    num_frames: int
    height: int
    width: int


@dataclass(frozen=True)
class LatentSize:
    """Frames, height and width of a latent video, in latent cells."""

    num_frames: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Shape of the stored latents, [b, c, f, h, w] with batch 1."""
        return (1, LATENT_CHANNELS, self.num_frames, self.height, self.width)

    @property
    def num_cells(self) -> int:
        """Cells of all frames; each is a token of the transformer."""
        return self.num_frames * self.height * self.width


def is_valid_num_frames(num_frames: int) -> bool:
    """Whether the VAE can hold so many frames: 4k + 1, because it keeps frame 0 alone and folds each 4 after it."""
    return num_frames >= 1 and (num_frames - 1) % TEMPORAL_COMPRESSION == 0


def latent_size(video: VideoSize) -> LatentSize:
    """Size of the latents of a video whose sizes are valid (checked in stages/pipeline/denoise.py)."""
    return LatentSize(
        num_frames=(video.num_frames - 1) // TEMPORAL_COMPRESSION + 1,
        height=video.height // SPATIAL_COMPRESSION,
        width=video.width // SPATIAL_COMPRESSION,
    )


def video_size(latents: LatentSize) -> VideoSize:
    """Size of the video that these latents decode to."""
    return VideoSize(
        num_frames=(latents.num_frames - 1) * TEMPORAL_COMPRESSION + 1,
        height=latents.height * SPATIAL_COMPRESSION,
        width=latents.width * SPATIAL_COMPRESSION,
    )
