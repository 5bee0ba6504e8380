"""`seatpool users …`: what an operator asks of the users service."""

from typing import Annotated

import typer

from cli.console import out, run
from cli.rest import Rest, addresses

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Asks of the users service.")


@app.callback()
def _group() -> None:
    """Asks of the users service."""


@app.command()
def republish(tenant: Annotated[str | None, typer.Option(help="Only this tenant; default: all.")] = None) -> None:
    """Publish tenants and people again, for a reader that was rebuilt.

    ```
    seatpool users republish --tenant acme
    ```
    """
    answer = run(_republish(tenant))
    out.print(f"published again: {answer}")


async def _republish(tenant: str | None) -> str:
    async with Rest(addresses()) as rest:
        answer = await rest.post("users", "/v1/operator/republish", {"tenant": tenant} if tenant else {})
    return ", ".join(f"{name} {value}" for name, value in (answer or {}).items()) or "asked for"
