"""HTTP to addresses that customers entered: only https, only public addresses, no redirects, small plain answers, in a short time."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import httpx
import orjson

Network = IPv4Network | IPv6Network

ANSWER_BYTES_MAX: Final = 256 * 1024
CONNECT_SECONDS: Final = 3
TOTAL_SECONDS: Final = 8  # of one request, whatever it waits for
AT_ONCE: Final = 200
AT_ONCE_OF_TENANT: Final = 5  # a provider that does not answer leaves connections to those of other tenants
RESOLVERS: Final = 32
_TRANSLATED: Final = (IPv6Network("::/96"), IPv6Network("64:ff9b::/96"))  # they end with an address of IPv4 (RFC 4291, RFC 6052)
_TRANSLATED_LOCALLY: Final = IPv6Network("64:ff9b:1::/48")  # each network decides to which addresses (RFC 8215)

_TEMPORARY: Final = frozenset({"server_error", "temporarily_unavailable"})
_CODE: Final = re.compile(r"[a-z][a-z_]{1,39}")


class RequestFailed(Exception):
    """The other side cannot be reached, is too slow or is out of order: ask again later. The text is for administrators."""


class WrongAnswer(RequestFailed):
    """The other side answers, but not in a way that can be used: asking again changes nothing. `code` is the error that it names."""

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code


class GuardedHttp:
    """`networks` are those that are allowed although they are not public. Plain http is allowed to loopback addresses of these only."""

    def __init__(self, networks: Sequence[Network] = (), transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._networks = networks
        self._is_replaced = transport is not None  # by a test: no name is resolved
        self._places: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # by tenant, while it asks
        # Names that are slow to resolve must not keep the threads busy that other work of this process uses. A thread is busy also after
        # the request was given up, so each name has one.
        self._resolver = ThreadPoolExecutor(RESOLVERS, "resolve")
        self._resolving: dict[tuple[str, int], asyncio.Future[list[Any]]] = {}
        # Each connection is used once. It is to an address, and two names can have one address: a connection made for one of them must not
        # carry requests to the other.
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0)
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
            limits=limits,
            follow_redirects=False,
            trust_env=False,
        )

    async def get(self, tenant: str, url: str) -> dict[str, Any]:
        """Return the JSON object at the address, for a sign-in of the tenant. Raises RequestFailed, WrongAnswer."""
        return await self._json(tenant, "GET", url, {}, None)

    async def post(self, tenant: str, url: str, headers: Mapping[str, str], body: str) -> dict[str, Any]:
        """Send a form for a sign-in of the tenant, and return the JSON object of the answer. Raises RequestFailed, WrongAnswer."""
        return await self._json(tenant, "POST", url, headers, body)

    async def close(self) -> None:
        await self._client.aclose()
        self._resolver.shutdown(wait=False, cancel_futures=True)

    async def _json(self, tenant: str, method: str, url: str, headers: Mapping[str, str], body: str | None) -> dict[str, Any]:
        host = host_of(url)
        if not host:
            raise WrongAnswer(f"{url[:100]} is no address of a server")
        try:
            place = self._places.setdefault(tenant, asyncio.Semaphore(AT_ONCE_OF_TENANT))
            async with asyncio.timeout(TOTAL_SECONDS), place:
                content = await self._content(method, url, headers, body)
            value = orjson.loads(content)
        except TimeoutError as error:
            raise RequestFailed(f"{host} did not answer within {TOTAL_SECONDS} seconds") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise RequestFailed(f"{host} cannot be reached ({type(error).__name__})") from error
        except UnicodeError as error:  # a part of the name is empty or too long for the name service
            raise WrongAnswer(f"{host} is no name of a server") from error
        except ValueError as error:
            raise WrongAnswer(f"{host} did not answer with JSON") from error
        if not isinstance(value, dict):
            raise WrongAnswer(f"{host} did not answer with a JSON object")
        if (code := _code_in(value)) is not None:
            raise failure_of(f"{host} answered with an error", code)
        return value

    async def _content(self, method: str, url: str, headers: Mapping[str, str], body: str | None) -> bytes:
        request = await self._request(
            method, httpx.URL(url), {"accept": "application/json", "accept-encoding": "identity", **headers}, body
        )
        content, status_text = bytearray(), f"{request.headers['host']} answered with status "
        response = await self._client.send(request, stream=True)
        try:
            # A few hundred bytes can stand for gigabytes, and would be decompressed before anybody counts them.
            if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
                raise WrongAnswer(f"{request.headers['host']} answered with a compressed text, although it was asked for a plain one")
            if response.status_code >= 500 or response.status_code in (408, 425, 429):
                raise RequestFailed(f"{status_text}{response.status_code}")
            async for part in response.aiter_bytes():
                content += part
                if len(content) > ANSWER_BYTES_MAX:
                    raise WrongAnswer(f"the answer of {request.headers['host']} has more than {ANSWER_BYTES_MAX} bytes")
        finally:
            await response.aclose()
        if response.status_code != httpx.codes.OK:
            raise failure_of(f"{status_text}{response.status_code}", _code_in(_parsed(content)))
        return bytes(content)

    async def _request(self, method: str, url: httpx.URL, headers: Mapping[str, str], body: str | None) -> httpx.Request:
        """Return a request to an address that was checked: a name that is resolved twice can have another address the second time."""
        request = self._client.build_request(method, url, headers=headers, content=body)
        if self._is_replaced:
            return request
        address = await self._address(url)
        if url.scheme != "https" and not (url.scheme == "http" and address.is_loopback and self._is_listed(address)):
            raise WrongAnswer(f"{url.host} is not asked, because its address does not begin with https://")
        request.url = url.copy_with(host=str(address))
        request.extensions["sni_hostname"] = url.host  # the certificate is checked for the name
        return request

    async def _address(self, url: httpx.URL) -> IPv4Address | IPv6Address:
        addresses = [ipaddress.ip_address(each[4][0]) for each in await self._resolved(url.host, url.port or 443)]
        if wrong := [each for each in addresses if not (self._is_listed(each) or is_public(each))]:
            raise WrongAnswer(f"{url.host} is not asked, because {wrong[0]} is not a public address")
        return addresses[0]

    async def _resolved(self, host: str, port: int) -> list[Any]:
        name = (host, port)
        if (asked := self._resolving.get(name)) is None:
            resolve = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            asked = self._resolving[name] = asyncio.get_running_loop().run_in_executor(self._resolver, resolve)
            asked.add_done_callback(partial(self._forget, name))
        return await asyncio.shield(asked)

    def _forget(self, name: tuple[str, int], asked: asyncio.Future[list[Any]]) -> None:
        del self._resolving[name]
        if not asked.cancelled():
            asked.exception()  # nobody may be waiting for it any more

    def _is_listed(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)


def host_of(url: str) -> str:
    """Return the host that an address names; an empty text if it cannot be read."""
    try:
        return httpx.URL(url).host if urlsplit(url).hostname else ""  # each reads addresses that the other refuses
    except (httpx.InvalidURL, ValueError):
        return ""


def failure_of(text: str, code: str | None) -> RequestFailed:
    """Return the failure of a request that was answered with this error (RFC 6749, section 5.2)."""
    if code in _TEMPORARY:
        return RequestFailed(f"{text} ({code})")
    return WrongAnswer(text if code is None else f"{text} ({code})", code)


def _parsed(content: bytes | bytearray) -> Any:
    try:
        return orjson.loads(content)
    except ValueError:
        return None


def _code_in(answer: Any) -> str | None:
    """Return the error that an answer names, if it is a code: any other text could be one that was sent."""
    code = answer.get("error") if isinstance(answer, dict) else None
    return None if code is None else code if isinstance(code, str) and _CODE.fullmatch(code) else "unknown_error"


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether the address belongs to the Internet: not to this machine, a private network, or a service of a cloud provider. An
    address that gateways translate to one of IPv4 is what that one is."""
    if isinstance(address, IPv6Address):
        is_translated = any(address in network for network in _TRANSLATED)
        inner = address.ipv4_mapped or address.sixtofour or (IPv4Address(address.packed[-4:]) if is_translated else None)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local or address in _TRANSLATED_LOCALLY:
            return False
    return address.is_global and not address.is_multicast
