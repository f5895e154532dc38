"""Stage 3: latents become frames by the causal 3D VAE's decoder, in JAX."""
