"""`seatpool users …`: what an operator asks of the users service."""

from cli.console import counted, out, run
from cli.rest import Rest, addresses


def republish(tenant: str | None) -> None:
    tenants = run(_republish(tenant))
    out.print(f"users publishes {counted(tenants, 'tenant')} and {'its' if tenants == 1 else 'their'} people again.")


async def _republish(tenant: str | None) -> int:
    async with Rest(addresses()) as rest:
        answer = await rest.post("users", "/v1/operator/republish", {} if tenant is None else {"tenant": tenant})
    return int(answer["tenants"])
