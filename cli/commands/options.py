"""Options and helpers that several commands share. This module imports nothing but typer, because `--help` reads it."""

from typing import Annotated

import typer


def not_blank(value: str | None) -> str | None:
    """Refuse a blank option, such as a shell variable that is not set. Without the option the command concerns all tenants."""
    if value is not None and not value.strip():
        raise typer.BadParameter("the value is blank. Name a tenant, or leave the option out for all tenants.")
    return value


def group(about: str) -> typer.Typer:
    """Return an empty group of commands."""
    return typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help=about)


OfTenant = Annotated[str, typer.Option(callback=not_blank, help="The tenant.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
