"""`seatpool users …`: what an operator asks of the users service."""

from cli.console import out, run
from cli.rest import Rest, addresses


def republish(tenant: str | None) -> None:
    answer = run(_republish(tenant))
    out.print(f"users publishes again: {answer}")


async def _republish(tenant: str | None) -> str:
    async with Rest(addresses()) as rest:
        answer = await rest.post("users", "/v1/operator/republish", {} if tenant is None else {"tenant": tenant})
    return ", ".join(f"{name} {value}" for name, value in (answer or {}).items()) or "everything that was requested"
