"""What the start of a process costs, as far as it can be told without a clock."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("recipe", ["Makefile", "deploy/Dockerfile"])
def test_an_environment_is_compiled_when_it_is_made(recipe: str) -> None:
    """Else every process compiles a thousand modules wherever Python may not write: in the image, which runs as another user, and where
    PYTHONDONTWRITEBYTECODE is set."""
    installs = [line for line in (ROOT / recipe).read_text().splitlines() if "uv pip sync" in line]
    assert installs
    assert all("--compile-bytecode" in line for line in installs)
