"""How many requests of one tenant are answered at once, so that no tenant takes a whole process from all others.

Tokens for all tenants belong to the vendor: its product, its operators, and these services. They may ask as often as they like, but a
script of the vendor must not fill a process with large answers either, so their costly requests are counted as those of one caller.

A request counts from the check of its access, before its body is read, until its answer has been sent, also a streamed one. The counts are
of one process. Own code: a limiter counts requests in time, and what is needed here is a count of those being answered.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from fastapi import Request

from shared.errors import Refused
from shared.web.auth import Principal

REQUESTS_MAX = 10
COSTLY_MAX = 4
COSTLY_OF_VENDOR_MAX = 16
RETRY_AFTER_SECONDS = 1

_Kind = tuple[str, Counter[str | None], int]  # what is counted, the counts, and how many are answered at a time
F = TypeVar("F", bound=Callable[..., Any])


def costly(endpoint: F) -> F:
    """Mark a route whose answers or bodies are large, or take much work."""
    return costly_when(lambda request: True)(endpoint)


def costly_when(condition: Callable[[Request], bool]) -> Callable[[F], F]:
    """Mark a route of which some requests are costly."""

    def mark(endpoint: F) -> F:
        endpoint.costly = condition  # type: ignore[attr-defined]
        return endpoint

    return mark


class TenantLimits:
    """The requests of each tenant that this process is answering."""

    def __init__(self) -> None:
        self._requests: Counter[str | None] = Counter()
        self._costly: Counter[str | None] = Counter()

    @contextmanager
    def place(self, tenant: str | None, *, costly: bool) -> Iterator[None]:
        """Hold a place for a request; `tenant` is that of its token. Raises Refused, with 429, when too many are being answered."""
        kinds = [] if tenant is None else [("requests", self._requests, REQUESTS_MAX)]
        with self._places(tenant, [*kinds, *(self._costly_kinds(tenant) if costly else ())]):
            yield

    @contextmanager
    def costly_place(self, tenant: str | None) -> Iterator[None]:
        """Hold a place among the costly requests for one that holds a place already. Raises Refused as `place` does."""
        with self._places(tenant, self._costly_kinds(tenant)):
            yield

    def _costly_kinds(self, tenant: str | None) -> list[_Kind]:
        most = COSTLY_OF_VENDOR_MAX if tenant is None else COSTLY_MAX
        return [("requests with large bodies or answers (exports, mappings, forecasts)", self._costly, most)]

    @contextmanager
    def _places(self, tenant: str | None, kinds: Sequence[_Kind]) -> Iterator[None]:
        for what, counts, most in kinds:
            if counts[tenant] >= most:
                whose = "with tokens for all tenants" if tenant is None else "of one tenant"
                detail = f"A process answers at most {most} {what} {whose} at a time. Try again in {RETRY_AFTER_SECONDS} second."
                raise Refused("too-many-requests", detail, retry_after_seconds=RETRY_AFTER_SECONDS, at_once_max=most)
        for _, counts, _ in kinds:
            counts[tenant] += 1
        try:
            yield
        finally:
            for _, counts, _ in kinds:
                counts[tenant] -= 1
                if not counts[tenant]:
                    del counts[tenant]


def hold_place(request: Request, endpoint: Callable[..., Any], held: ExitStack) -> None:
    """Hold a place for the caller's tenant until `held` is closed. Call after its access is checked. Raises Refused."""
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None:
        return  # open to all
    limits: TenantLimits = request.app.state.tenant_limits
    held.enter_context(limits.place(principal.tenant, costly=_is_costly(request, endpoint)))


def hold_costly_place(request: Request, endpoint: Callable[..., Any], held: ExitStack) -> None:
    """Hold a place for a request that turns out to be costly, unless it counts as such already. Raises Refused."""
    limits: TenantLimits = request.app.state.tenant_limits
    if not _is_costly(request, endpoint):
        held.enter_context(limits.costly_place(request.state.principal.tenant))


def _is_costly(request: Request, endpoint: Callable[..., Any]) -> bool:
    when: Callable[[Request], bool] | None = getattr(endpoint, "costly", None)
    return when is not None and when(request)
