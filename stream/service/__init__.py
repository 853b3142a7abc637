"""The supervisor, its children, and the rules of a run directory."""
