"""What doit is taught: its command line's look, its `forget`, and how it compares files."""
