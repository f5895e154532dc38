"""Programs that make the checkpoints in `stages/builtin`; not part of the installed package."""
