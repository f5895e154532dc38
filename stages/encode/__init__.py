"""Stage 1: a prompt becomes the embeddings of two text encoders (Qwen2.5-VL language model, ByT5), by torch."""
