"""In place of stage 3: the same by diffusers' own VAE in torch, or by the Flax VAE of its fork diffusers-tpu."""
