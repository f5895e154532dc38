"""Trains `builtin:shapes`: a HunyuanVideo-1.5 checkpoint that is tiny but real.

`python -m training.shapes` draws the videos, trains VAE and DiT and writes the folder.
"""
