"""The version of Seatpool. The image contains the code without the metadata of a package, so the code cannot ask for it there."""

VERSION = "0.1.0"  # pyproject.toml has the same; a test compares them
