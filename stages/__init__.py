"""Incremental text-to-video generation: four stages, each result stored under the hash of what made it."""
