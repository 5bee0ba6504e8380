"""Output and errors of every command. An error is one line that says what is wrong and one that says what to do, no traceback."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn, TypeVar

import httpx
import stamina.instrumentation
import structlog
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

WIDTH_OF_A_PIPE = 140  # rich takes 80 columns where it cannot ask, which folds every table
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
if not out.is_terminal:
    out.width = WIDTH_OF_A_PIPE
T = TypeVar("T")


class CliError(Exception):
    """`hint` is what the reader can do about it. `problem` is the type of a refusal, as services name it, `fields` its wrong fields, and
    `running` the import that it names."""

    def __init__(
        self, message: str, hint: str = "", problem: str = "", fields: Sequence[tuple[str, str]] = (), running: str | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.hint, self.problem, self.fields, self.running = message, hint, problem, fields, running


def fail(message: str, hint: str = "") -> NoReturn:
    err.print(f"[bold red]seatpool:[/] {escape(message)}", soft_wrap=True)
    if hint:
        err.print(f"          {hint}", markup=False, soft_wrap=True)
    raise typer.Exit(1)


def counted(count: int, one: str, many: str = "") -> str:
    """Return `1 tenant`, `2 tenants`. `many`: a plural without s."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def show_rows(rows: Sequence[T], as_json: bool, columns: Sequence[str], cells: Callable[[T], Sequence[str]], *, fixed: str = "") -> None:
    """Print rows as JSON for programs, or as a table with these columns. Cells are shown as they are: a name can look like markup. The
    column `fixed` is not folded."""
    if as_json:
        out.print_json(data=rows)
        return
    table = Table()
    for column in columns:
        table.add_column(column, no_wrap=column == fixed)
    for row in rows:
        table.add_row(*map(escape, cells(row)))
    out.print(table)


def no_stack(or_else: str = "") -> str:
    """Return what to do if no local stack is found; `or_else` is a further way."""
    ways = ("start a local stack with `seatpool run`", "change to the folder in which one was started", or_else)
    *first, last = filter(None, ways)
    text = f"{', '.join(first)}{',' if or_else else ''} or {last}."
    return text[0].upper() + text[1:]


def shown(value: object) -> str:
    """Return a value as it is given to a command: true and false, not as Python writes them."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def quiet() -> None:
    """Silence the libraries that the command shares with the services, except for errors: the command writes its own output."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    stamina.instrumentation.set_on_retry_hooks([])


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine. An expected error becomes a line; every other one stays a traceback (a bug)."""
    quiet()
    try:
        return asyncio.run(work)
    except CliError as error:
        fail(error.message, error.hint)
    except httpx.ConnectError as error:
        fail(f"nothing answers at {error.request.url}", "Start a stack with `seatpool run`, or see what is running with `seatpool status`.")
    except httpx.TimeoutException as error:
        fail(f"{error.request.url} did not answer in time", "`seatpool status` shows which part is not healthy.")
