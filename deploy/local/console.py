"""The output of the parts: a file for each, and the terminal with a coloured label."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.text import Text

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan", "bright_magenta", "bright_green")
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Logs:
    """Call it with a part and a line. `console` None: files only."""

    def __init__(self, folder: Path, parts: Sequence[str], console: Console | None) -> None:
        self._folder, self._console = folder, console
        self._width = max((len(name) for name in parts), default=0)
        self._colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(parts)}
        self._files: dict[str, TextIO] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, part: str, line: str) -> None:
        self._file(part).write(ESCAPES.sub("", line) + "\n")
        if self._console is not None:
            label = Text(f"{part:<{self._width}} | ", style=self._colours.get(part, "white"))
            self._console.print(label + Text.from_ansi(line), soft_wrap=True, highlight=False)

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _file(self, part: str) -> TextIO:
        if part not in self._files:
            path = self._folder / f"{part}.log"
            if path.exists():
                path.replace(path.with_suffix(".previous.log"))
            self._files[part] = path.open("w", buffering=1, encoding="utf-8")
        return self._files[part]
