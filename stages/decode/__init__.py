"""Stage 3: latents become frames, by the causal 3D VAE's decoder in JAX, one latent frame at a time."""
