"""The action log as a file."""
