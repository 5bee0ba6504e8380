"""The demo on a terminal: one chapter per day, a table per module, the flagged and the lost in red."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from zoneinfo import ZoneInfo

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table

from cli.demo.plan import Plan, money_words
from cli.demo.stage import Flag, Snapshot
from cli.demo.statistics import COUNTED_BY

FLAGS_SHOWN = 12  # of one module; the rest is a number
SUBJECTS_SHOWN = 5


class Screen:
    """An Audience."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self.console, self.plan = console, plan
        self.zone = ZoneInfo(plan.tenant.time_zone)
        self._before: Snapshot | None = None
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show a moving line at the bottom during the block, on a terminal only."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}"),
        )
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            self._progress = progress
            self._task = progress.add_task("", total=None, count="")
            try:
                yield
            finally:
                self._progress = None

    def waiting(self, text: str, done: int = 0, total: int = 0) -> None:
        if self._progress is not None and self._task is not None:
            count = f"{done} of {total}" if total else ""
            self._progress.update(self._task, description=escape(text), completed=done, total=total or None, count=count)

    def chapter(self, day: date, title: str) -> None:
        self.console.print()
        self.console.rule(f"[bold]{day:%A, %-d %B %Y}[/]  {escape(title)}", align="left", style="cyan")

    def said(self, text: str) -> None:
        self._indented(escape(text))

    def said_now(self, text: str) -> None:
        """Print a line outside of a chapter."""
        self.console.print(escape(text), style="dim")

    def statement(self, text: str) -> None:
        """Print a line as it is: a link in it can be copied, however narrow the terminal is."""
        self.console.print(text, soft_wrap=True, markup=False)

    def company(self, snapshot: Snapshot) -> None:
        self._indented(self._pools(snapshot))
        by_module: dict[str, list[Flag]] = defaultdict(list)
        for flag in snapshot.flags:
            by_module[flag.module].append(flag)
        for module, flags in by_module.items():
            self._flagged(module, flags)
        before = self._before
        self._news("refused because the pool is full", snapshot.refused, before.refused if before else ())
        self._news("revoked because the grace period has ended", snapshot.withdrawn, before.withdrawn if before else ())
        if gone := sorted(set(snapshot.deactivated) - set(before.deactivated if before else ())):
            self._indented(f"[bold red]deactivated[/] because the base module was revoked: [red]{', '.join(gone)}[/]")
        self._mails(snapshot)
        self._before = snapshot

    def _indented(self, what: RenderableType) -> None:
        self.console.print(Padding(what, (0, 0, 0, 2), expand=False))

    def _mails(self, snapshot: Snapshot) -> None:
        before = self._before.subjects if self._before else {}
        new = {subject: count - before.get(subject, 0) for subject, count in snapshot.subjects.items() if count > before.get(subject, 0)}
        for subject, count in list(new.items())[:SUBJECTS_SHOWN]:
            self._indented(f"[dim]e-mail{'' if count == 1 else f' to {count} people'}:[/] [dim italic]{escape(subject)}[/]")
        if len(new) > SUBJECTS_SHOWN:
            self._indented(f"[dim]and {sum(list(new.values())[SUBJECTS_SHOWN:])} more e-mails[/]")

    def _pools(self, snapshot: Snapshot) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
        table.add_column("module")
        for name in ("licences", "active", "flagged", "refused", "revoked", "available"):
            table.add_column(name, justify="right")
        for module, plan in self.plan.modules.items():
            pool, states = snapshot.pools.get(module, {}), snapshot.states.get(module, {})
            lost = states.get("revoked", 0) + states.get("withdrawn", 0)
            numbers = (pool.get("flagged", 0), states.get("refused", 0), lost)
            table.add_row(
                f"{module}{' (base)' if plan.base else ''}",
                str(pool.get("licences", 0)),
                f"[green]{pool.get('active', 0)}[/]",
                *(f"[bold red]{number}[/]" if number else "0" for number in numbers),
                str(pool.get("available", 0)),
            )
        return table

    def _flagged(self, module: str, flags: Sequence[Flag]) -> None:
        """Return people with the same deadline in one line."""
        by_deadline: dict[str, list[str]] = defaultdict(list)
        for flag in flags:
            when = f"until {flag.deadline.astimezone(self.zone):%-d %B %H:%M}" if flag.deadline else "without a deadline"
            by_deadline[when].append(f"{flag.external_id} {flag.login}")
        for when, who in by_deadline.items():
            more = f" and {len(who) - FLAGS_SHOWN} more" if len(who) > FLAGS_SHOWN else ""
            self._indented(f"[bold red]over the limit[/] of {module} {when}: [red]{escape(', '.join(who[:FLAGS_SHOWN]))}{more}[/]")

    def _news(self, what: str, now: Sequence[tuple[str, str]], before: Sequence[tuple[str, str]]) -> None:
        by_module: dict[str, list[str]] = defaultdict(list)
        for module, key in now:
            if (module, key) not in before:
                by_module[module].append(key)
        for module, keys in by_module.items():
            self._indented(f"[bold red]{what}[/]: {module} for [red]{escape(', '.join(keys))}[/]")

    def statistics(self, statistics: Mapping[str, Mapping[str, object]]) -> None:
        """Print the statistics of each service, side by side."""
        names = list(COUNTED_BY)
        table = Table(
            title="what each service counts", title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1, 0, 0)
        )
        table.add_column("")
        for name in names:
            table.add_column("net" if name == "net_minor" else name, justify="right")
        for service, found in statistics.items():
            cells = {name: str(found[name]) for name in names if service in COUNTED_BY[name] and name in found}
            if "net_minor" in cells:
                cells["net_minor"] = money_words(int(cells["net_minor"]))
            table.add_row(service, *(cells.get(name, "") for name in names))
        self.console.print(table)

    def panel(self, title: str, lines: Sequence[str], style: str = "green") -> None:
        self.console.print(Panel("\n".join(lines), title=title, title_align="left", border_style=style, expand=False))
