"""Programs that make the checkpoints in `stages/models/builtin`; not part of the installed package."""
