"""In place of stage 1 or 2: a file that another tool made becomes the artifact, if it holds what it should."""
