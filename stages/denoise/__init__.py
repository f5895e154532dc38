"""Stage 2: embeddings and a seed become latents, by flow matching with the diffusion transformer, in JAX."""
