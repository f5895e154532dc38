"""Stage 4: frames become a video file, by PyAV."""
