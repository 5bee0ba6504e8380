"""The whole local stack: broker, PostgreSQL, mailbox, topics, databases, services. The environment can name others of the first three.

async with LocalStack(Path(".seatpool")) as stack:
    stack.addresses["services"]["users"]
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
import httpx
from rich.console import Console

from deploy.local import containers, jars, postgres, tools
from deploy.local.console import Logs
from deploy.local.kafka import Broker, cluster_id_at
from deploy.local.ports import Ports
from deploy.local.postgres import Server
from deploy.local.settings import StackSettings
from deploy.local.state import State, note_of
from deploy.local.supervisor import Part, StartFailed, Supervisor

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[2]
SEATS_PARTITIONS = 4
EXTERNAL_SECONDS_MAX = 20.0  # how long to wait for an address from the environment
TOKEN_SECONDS = 3600
TOKEN_RENEW_SECONDS = 30.0
HEALTH_SECONDS_MAX = 2.0
# invoicing needs to know the vendor. In a local stack nobody sells, so this example does.
EXAMPLE_SELLER = {
    "SEATPOOL_SELLER_NAME": "Example Software Ltd",
    "SEATPOOL_SELLER_STREET": "1 Example Street",
    "SEATPOOL_SELLER_POSTCODE": "D02 AF30",
    "SEATPOOL_SELLER_CITY": "Dublin",
    "SEATPOOL_SELLER_COUNTRY": "IE",
    "SEATPOOL_SELLER_VAT_ID": "IE1234567T",
    "SEATPOOL_SELLER_EMAIL": "billing@example.com",
    "SEATPOOL_SELLER_CONTACT": "Accounts",
    "SEATPOOL_SELLER_TELEPHONE": "+353 1 5550100",
    "SEATPOOL_SELLER_ELECTRONIC_ADDRESS": "9935:IE1234567T",
    "SEATPOOL_SELLER_IBAN": "IE29AIBK93115212345678",
}


@dataclass(frozen=True, slots=True)
class Service:
    """`python -m services.<name> <role>`; `sql`: has a database of its own; `kafka`: uses the broker."""

    name: str
    role: str
    sql: bool = True
    mail: bool = False
    kafka: bool = True


SERVICES = (
    Service("users", "all"),
    Service("seats", "worker", sql=False),
    Service("invoicing", "all"),
    Service("notifier", "all", mail=True),
    Service("console", "web", sql=False, kafka=False),
)


class LocalStack:
    """Use it with `async with`; entering returns when everything is ready. Raises StartFailed, ToolsMissing, AlreadyRunning, OldState."""

    def __init__(
        self,
        folder: Path = Path(".seatpool"),
        *,
        services: Sequence[Service] = SERVICES,
        console: Console | None = None,
        durable: bool = True,
        environment: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
        extra_of: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """`console`: gets labelled logs besides the files. `environment` replaces this process's. `extra` is added for every service,
        `extra_of` for one of them."""
        self.state = State(folder)
        self.services = tuple(services)
        self.addresses: dict[str, Any] = {}
        self.taken: dict[str, str] = {}  # part -> a sentence about where it is
        self._environment = {**(os.environ if environment is None else environment), **(extra or {})}
        self._extra_of = extra_of or {}
        self._durable = durable
        self._console = console
        self._endings: list[Callable[[], None]] = []
        self._supervisor: Supervisor | None = None
        self._ready = False
        self._token_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._settings = StackSettings.read(self._environment)
        docker = self._settings.backend == "docker"
        own = [part for part, variable in VARIABLES.items() if variable not in self._environment]
        if self._settings.identity_provider:
            own.append("identity_provider")
        tools.check(["docker" if docker and part in ("kafka", "postgres") else part for part in own])
        self.state.lock()
        try:
            await self._start(docker)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._token_task is not None:
            self._token_task.cancel()
            await asyncio.wait({self._token_task})
        if self._supervisor is not None:
            await self._supervisor.stop()
        for end in self._endings:
            await asyncio.to_thread(end)
        self.state.remove_stack()
        self.state.unlock()

    # What tests and the demo do to a running stack.

    @property
    def supervisor(self) -> Supervisor:
        assert self._supervisor is not None, "the stack was not started"
        return self._supervisor

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill a part. It is started again after a moment."""
        self.supervisor.send(name, number)

    def pause(self, name: str) -> None:
        self.supervisor.send(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.supervisor.send(name, signal.SIGCONT)

    async def down(self, name: str) -> None:
        """Kill a part, and keep it down until `up`."""
        await self.supervisor.down(name)

    async def up(self, name: str) -> None:
        """Start a part, and return when it is ready again."""
        self.supervisor.up(name)
        await self.supervisor.until_ready(name)

    async def token(self, *, scope: str, **form: str) -> str:
        """Return an access token of the client `operator`; `tenant`, `subject`, `ttl_seconds` limit it."""
        async with httpx.AsyncClient(timeout=10) as http:
            answer = await http.post(
                self.addresses["token_endpoint"],
                data={
                    "grant_type": "client_credentials",
                    "client_id": "operator",
                    "client_secret": self.addresses["operator_secret"],
                    "scope": scope,
                    **form,
                },
            )
            answer.raise_for_status()
            return str(answer.json()["access_token"])

    # How it starts.

    async def _start(self, docker: bool) -> None:
        names = [*VARIABLES, "identity_provider", "topics", "databases", *(service.name for service in self.services)]
        logs = Logs(self.state.folder / "logs", names, self._console)
        self._endings.append(logs.close)
        for name in self.state.end_leftovers():
            logs(name, "ended, left behind by a supervisor that was killed")
        ports = Ports(self.state.folder / "ports.json")
        parts = [
            await self._kafka(ports, docker),
            await self._postgres(ports, docker),
            self._mailbox(ports),
        ]
        if self._settings.identity_provider:
            parts.append(self._identity_provider(ports))
        for name, sentence in self.taken.items():
            logs(name, sentence)
        if "kafka" in self.taken and parts[0].command and (missing := jars.missing_count()):
            logs("kafka", f"fetching {missing} jars from Maven Central (45 MB), once for all checkouts")
        parts += [self._topics(logs), self._databases(), *self._services(ports)]
        self._supervisor = Supervisor(parts, logs, self._write)
        await self._supervisor.start()
        if any(service.name == "users" for service in self.services):
            self.addresses["token"] = await self.token(scope="operator", ttl_seconds=str(TOKEN_SECONDS))
            self._token_task = asyncio.create_task(self._renew_token())
        self._ready = True
        self._write()

    def _port(self, ports: Ports, name: str) -> int:
        return ports.get(name, self._settings.port(name))

    def _number(self, variable: str) -> int | None:
        wanted = self._environment.get(variable)
        if wanted and not (wanted.isascii() and wanted.isdigit()):
            raise StartFailed(f"{variable} is {wanted!r}; it must be a number")
        return int(wanted) if wanted else None

    async def _kafka(self, ports: Ports, docker: bool) -> Part:
        self.addresses["kafka_topic_prefix"] = self._environment.get("SEATPOOL_KAFKA_TOPIC_PREFIX", "")
        self.addresses["seats_partitions"] = self._number("SEATPOOL_SEATS_PARTITIONS") or SEATS_PARTITIONS
        if external := self._environment.get(VARIABLES["kafka"]):
            self.taken["kafka"] = f"the broker at {external} ({VARIABLES['kafka']})"
            self.addresses["kafka_bootstrap"] = external
            return self._waited_for("kafka", external)
        if docker:
            bootstrap, end = await asyncio.to_thread(containers.start_kafka, self._settings.kafka_image)
            self._endings.append(end)
            self.taken["kafka"] = f"a container at {bootstrap} (BACKEND=docker); its data is deleted when it stops"
            self.addresses["kafka_bootstrap"] = bootstrap
            return self._waited_for("kafka", bootstrap)
        broker = Broker(self.state.folder / "kafka", self._port(ports, "kafka"), self._port(ports, "kafka_controller"))
        self.taken["kafka"] = f"a local broker at {broker.bootstrap}, without authentication (PLAINTEXT)"
        self.addresses["kafka_bootstrap"] = broker.bootstrap
        return broker.part()

    async def _postgres(self, ports: Ports, docker: bool) -> Part:
        if external := self._environment.get(VARIABLES["postgres"]):
            self.taken["postgres"] = f"the server at {external.rpartition('@')[2]} ({VARIABLES['postgres']})"
            self.addresses["postgres_url"] = external
            return Part("postgres", prepare=lambda: _let_in(external))
        if docker:
            url, end = await asyncio.to_thread(containers.start_postgres, self._settings.postgres_image)
            self._endings.append(end)
            self.taken["postgres"] = f"a container at {url.rpartition('@')[2]} (BACKEND=docker); its data is deleted when it stops"
            self.addresses["postgres_url"] = url
            return Part("postgres")
        server = Server(self.state.folder / "postgres", self._port(ports, "postgres"), durable=self._durable)
        self.taken["postgres"] = f"a local server at {HOST}:{server.port}"
        self.addresses["postgres_url"] = server.url
        return server.part()

    def _mailbox(self, ports: Ports) -> Part:
        if external := self._environment.get(VARIABLES["mailbox"]):
            self.taken["mailbox"] = f"the mail server at {external.rpartition('@')[2]} ({VARIABLES['mailbox']})"
            self.addresses["smtp_url"] = external
            return Part("mailbox")
        smtp, web = self._port(ports, "mailbox_smtp"), self._port(ports, "mailbox")
        self.addresses |= {"smtp_url": f"smtp://{HOST}:{smtp}", "mailbox_url": f"http://{HOST}:{web}"}
        self.taken["mailbox"] = f"a local mailbox at {self.addresses['mailbox_url']}, which delivers no e-mail"
        folder = self.state.folder / "mailbox"
        return Part(
            "mailbox",
            command=[sys.executable, "-m", "deploy.local.mailbox", str(folder), str(smtp), str(web)],
            env=self._environment,
            cwd=ROOT,
            ready=answers(web),
        )

    def _identity_provider(self, ports: Ports) -> Part:
        port = self._port(ports, "identity_provider")
        self.addresses["identity_provider_url"] = f"http://{HOST}:{port}"
        self.taken["identity_provider"] = f"{self.addresses['identity_provider_url']}, with which anybody signs in as anybody"
        return Part(
            "identity_provider",
            command=[sys.executable, "-m", "deploy.local.identity_provider", str(port)],
            env=self._environment,
            cwd=ROOT,
            ready=answers(port, "/.well-known/openid-configuration"),
        )

    def _waited_for(self, name: str, bootstrap: str) -> Part:
        async def wait() -> None:
            loop = asyncio.get_running_loop()
            end = loop.time() + EXTERNAL_SECONDS_MAX
            while loop.time() < end:
                if await reachable(bootstrap):
                    return
                await asyncio.sleep(0.5)
            raise StartFailed(f"no broker answers at {bootstrap} ({VARIABLES[name]})")

        return Part(name, prepare=wait)

    def _topics(self, logs: Logs) -> Part:
        async def create() -> None:
            from shared.kafka import create_topics
            from shared.settings import KafkaSettings

            created = await create_topics(
                KafkaSettings(
                    kafka_bootstrap=self.addresses["kafka_bootstrap"],
                    kafka_topic_prefix=self.addresses["kafka_topic_prefix"],
                    seats_partitions=self.addresses["seats_partitions"],
                )
            )
            logs("topics", f"made {', '.join(created)}" if created else "all there")

        return Part("topics", needs=["kafka"], prepare=create)

    def _databases(self) -> Part:
        names = [service.name for service in self.services if service.sql]
        roles = [role for name in names for role in (name, f"{name}_owner")]  # the service's, and the owner of its tables
        passwords = self.state.secrets([f"database_{role}" for role in roles])
        prefix = self._settings.database_prefix
        server = self.addresses["postgres_url"]

        def url(name: str, role: str) -> str:
            return postgres.database_url(server, prefix + name, user=prefix + role, password=passwords[f"database_{role}"])

        self.addresses["database_urls"] = {name: url(name, name) for name in names}
        self.addresses["migration_database_urls"] = {name: url(name, f"{name}_owner") for name in names}

        async def create() -> None:
            if VARIABLES["postgres"] not in self._environment:
                await postgres.close_to_public(server)
            for role in roles:
                await postgres.ensure_role(server, prefix + role, passwords[f"database_{role}"])
            for name in names:
                await postgres.ensure_database(server, prefix + name, f"{prefix}{name}_owner", user=prefix + name)

        return Part("databases", needs=["postgres"], prepare=create)

    def _services(self, ports: Ports) -> list[Part]:
        names = [service.name for service in self.services]
        found = {service.name: self._port(ports, service.name) for service in self.services}
        self.addresses["services"] = {name: f"http://{HOST}:{found[name]}" for name in names}
        secrets = self.state.secrets(["operator", "secrets_key", "console_secret_key", *(f"client_{name}" for name in names)])
        self.addresses["operator_secret"] = self._environment.get("SEATPOOL_OPERATOR_SECRET", secrets["operator"])
        if "users" in names:
            self.addresses["signing_keys_folder"] = str(self.state.signing_keys_folder)
            self.addresses["token_endpoint"] = f"{self.addresses['services']['users']}/v1/token"
        return [self._service(service, found[service.name], secrets) for service in self.services]

    def _service(self, service: Service, port: int, secrets: Mapping[str, str]) -> Part:
        folder = self.state.folder / service.name
        folder.mkdir(exist_ok=True)
        env = {
            "SEATPOOL_LOG_FORMAT": "console" if self._console is not None and self._console.is_terminal else "json",
            **EXAMPLE_SELLER,
            **self._environment,
            "PYTHONPATH": str(ROOT),
            "SEATPOOL_HOST": HOST,
            "SEATPOOL_PORT": str(port),
            "SEATPOOL_CLIENT_ID": service.name,
            "SEATPOOL_CLIENT_SECRET": secrets[f"client_{service.name}"],
            "SEATPOOL_KAFKA_BOOTSTRAP": self.addresses["kafka_bootstrap"],
            "SEATPOOL_KAFKA_TOPIC_PREFIX": self.addresses["kafka_topic_prefix"],
            "SEATPOOL_SEATS_PARTITIONS": str(self.addresses["seats_partitions"]),
            **{f"SEATPOOL_{name.upper()}_URL": url for name, url in self.addresses["services"].items()},
        }
        env |= self._extra_of.get(service.name, {})
        env.pop("SEATPOOL_DATABASE_URL", None)  # the server's own, with rights that no service is to have
        if service.sql:
            env["SEATPOOL_DATABASE_URL"] = self.addresses["database_urls"][service.name]
            env["SEATPOOL_MIGRATION_DATABASE_URL"] = self.addresses["migration_database_urls"][service.name]
        if service.mail:
            env["SEATPOOL_SMTP_URL"] = self.addresses["smtp_url"]
        if service.name == "console":
            env.setdefault("SEATPOOL_CONSOLE_SECRET_KEY", secrets["console_secret_key"])
        if service.name == "users":
            if console := self.addresses["services"].get("console"):
                env.setdefault("SEATPOOL_SIGN_IN_LINK_URL", f"{console}/sign-in/link")
                env.setdefault("SEATPOOL_SIGN_IN_REDIRECT_URLS", f"{console}/sign-in/callback")
            env["SEATPOOL_SIGNING_KEYS_FOLDER"] = self.addresses["signing_keys_folder"]
            env["SEATPOOL_OPERATOR_SECRET"] = self.addresses["operator_secret"]
            env.setdefault("SEATPOOL_SECRETS_KEY", secrets["secrets_key"])
            if "identity_provider_url" in self.addresses:
                env.setdefault("SEATPOOL_IDENTITY_PROVIDER_NETWORKS", "127.0.0.0/8")
            for other in self.services:
                env[f"SEATPOOL_CLIENT_SECRET_{other.name.upper()}"] = secrets[f"client_{other.name}"]
        needs = (["topics", "databases"] if service.kafka else []) + (["mailbox"] if service.mail else [])
        return Part(
            service.name,
            command=[sys.executable, "-m", f"services.{service.name}", service.role],
            needs=needs,
            env=env,
            cwd=folder,
            ready=answers(port),
            # A service that cannot start ends; one that is only slow, on a busy machine, is let be.
            ready_seconds_max=180,
        )

    async def _renew_token(self) -> None:
        """Renew the development token in stack.json before it expires, and soon after its key was revoked."""
        while True:
            await asyncio.sleep(TOKEN_RENEW_SECONDS)
            with suppress(httpx.HTTPError):  # users is being started again
                self.addresses["token"] = await self.token(scope="operator", ttl_seconds=str(TOKEN_SECONDS))
                self._write()

    def _write(self) -> None:
        """Write stack.json, again after every change of a process id."""
        if self._supervisor is None:
            return
        processes = {name: note_of(pid) for name, pid in self._supervisor.pids().items()}
        self.state.write_stack(
            {
                **self.addresses,
                "pid": os.getpid(),
                "ready": self._ready,
                "processes": processes,
                "taken": self.taken,
                "logs": str(self.state.folder / "logs"),
            }
        )


async def _let_in(server_url: str) -> None:
    """Check that the server lets us in. Raises StartFailed with the server's message."""
    try:
        connection = await asyncpg.connect(server_url, timeout=EXTERNAL_SECONDS_MAX)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StartFailed(f"the connection to PostgreSQL failed ({VARIABLES['postgres']}): {error or type(error).__name__}") from error
    await connection.close()


VARIABLES = {"kafka": "SEATPOOL_KAFKA_BOOTSTRAP", "postgres": "SEATPOOL_DATABASE_URL", "mailbox": "SEATPOOL_SMTP_URL"}


def answers(port: int, path: str = "/readyz") -> Callable[[], Awaitable[bool]]:
    """Return a health check: does this address answer 200?

    Own code, because it runs many times a second while everything starts, and a client of httpx costs more than that.
    """

    async def check() -> bool:
        try:
            async with asyncio.timeout(HEALTH_SECONDS_MAX):
                reader, writer = await asyncio.open_connection(HOST, port)
                try:
                    writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
                    return (await reader.readline()).split()[1:2] == [b"200"]
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    return check


async def reachable(bootstrap: str) -> bool:
    """Tell whether any broker accepts a connection. Only the topics step sends credentials."""
    if await cluster_id_at(bootstrap) is not None:
        return True
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        with suppress(OSError, TimeoutError):
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), 2)
            writer.close()
            return True
    return False
