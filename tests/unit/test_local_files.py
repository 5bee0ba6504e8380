"""The files that install and deploy: what they name exists, and they agree with each other."""

import importlib
import re
import subprocess
import tomllib
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local import settings
from deploy.local.kafka import ADMIN, MECHANISM, SECURE_PROPERTIES
from deploy.local.stack import SERVICES, VARIABLES
from shared import kafka_acls
from shared.settings import CommonSettings, KafkaSettings
from shared.settings_page import describe
from shared.version import VERSION

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "deploy" / "compose.yaml").read_text()


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load(COMPOSE)
    assert isinstance(loaded, dict)
    return loaded


def pins(lock: str) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[.*?\])?==([^\s;]+)", (ROOT / "requirements" / lock).read_text(), re.MULTILINE)
    return dict(found)


def test_the_locks_agree_and_name_no_registry() -> None:
    runtime, dev = pins("runtime.lock"), pins("dev.lock")
    assert len(runtime) > 50
    assert {name: version for name, version in runtime.items() if dev.get(name) != version} == {}
    for path in (ROOT / "requirements").glob("*.lock"):
        assert "://" not in path.read_text(), path.name
        assert path.read_text().count("--hash=sha256:") > len(pins(path.name)), path.name


def test_compose_runs_each_service_of_the_local_stack_in_the_same_role(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert {name: services[name]["command"] for name in (service.name for service in SERVICES)} == {
        service.name: [f"services.{service.name}", service.role] for service in SERVICES
    }
    migrations = {f"{service.name}-migrate": [f"services.{service.name}", "migrate"] for service in SERVICES if service.sql}
    assert {name: services[name]["command"] for name in migrations} == migrations
    assert set(services) == {service.name for service in SERVICES} | {*VARIABLES, "acls", "topics", "cli", *migrations}


def test_compose_gives_the_owner_s_password_to_the_migrations_only(compose: dict[str, Any]) -> None:
    holders = {name for name, service in compose["services"].items() if "_OWNER" in str(service.get("environment"))}
    assert holders == {"postgres", *(f"{service.name}-migrate" for service in SERVICES if service.sql)}


def test_compose_depends_on_what_exists_and_is_checked(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], f"{name} waits for the health of {needed}, which has no check"
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (ROOT / "deploy" / source).exists(), volume


def test_compose_gives_only_variables_that_a_service_reads(compose: dict[str, Any]) -> None:
    """A misspelt variable would be ignored in silence."""
    for service in SERVICES:
        known = {page.env for page in describe(importlib.import_module(f"services.{service.name}.settings").Settings)}
        given = {name for name in compose["services"][service.name]["environment"] if name.startswith("SEATPOOL_")}
        assert given <= known, service.name


def test_compose_gives_whatever_a_service_needs_to_start(compose: dict[str, Any]) -> None:
    for service in SERVICES:
        needed = {page.env for page in describe(importlib.import_module(f"services.{service.name}.settings").Settings) if not page.default}
        assert needed <= set(compose["services"][service.name]["environment"]), service.name


def test_compose_starts_with_no_secret_of_its_own() -> None:
    example = dict(line.split("=", 1) for line in (ROOT / "deploy" / "env.example").read_text().splitlines() if line and line[0] != "#")
    assert set(example.values()) == {""}
    required = set(re.findall(r"\$\{(\w+):?\?", COMPOSE))
    optional = set(re.findall(r"\$\{(SEATPOOL_SELLER_\w+):?-\}", COMPOSE))
    assert required | optional == set(example)
    assert optional == {name for name in example if name.startswith("SEATPOOL_SELLER_")} - required, "no secret is optional"


@pytest.mark.parametrize("proxy", ["", "10.1.2.3"])
def test_compose_lets_users_believe_the_console_about_the_addresses_of_browsers(compose: dict[str, Any], proxy: str) -> None:
    """Otherwise all readers of the console would share the limits of one address. The console believes the proxies in front of it."""

    def filled_in(text: str) -> str:
        given = text.replace("${SEATPOOL_TRUSTED_PROXIES:+,}", "," if proxy else "").replace("${SEATPOOL_TRUSTED_PROXIES:-}", proxy)
        return given.replace("${SUBNET:-172.31.249}", "172.31.249")

    services, (network,) = compose["services"], compose["networks"]["default"]["ipam"]["config"]
    console = ip_address(filled_in(services["console"]["networks"]["default"]["ipv4_address"]))
    trusted = {
        name: CommonSettings(trusted_proxies=filled_in(services[name]["environment"]["SEATPOOL_TRUSTED_PROXIES"])).trusted_proxies
        for name in ("users", "console")
    }
    behind = [f"{proxy}/32"] if proxy else []
    assert trusted == {"users": ",".join([f"{console}/32", *behind]), "console": ",".join(behind)}
    assert console in ip_network(filled_in(network["subnet"]))
    assert console not in ip_network(filled_in(network["ip_range"])), "another part could get the address first"
    assert str(console) != filled_in(network["gateway"])


def test_compose_and_testcontainers_take_the_same_images(compose: dict[str, Any]) -> None:
    assert compose["services"]["kafka"]["image"] == f"${{KAFKA_IMAGE:-{settings.KAFKA_IMAGE}}}"
    assert compose["services"]["postgres"]["image"] == f"${{POSTGRES_IMAGE:-{settings.POSTGRES_IMAGE}}}"


def test_compose_applies_the_access_control_lists_that_the_command_prints() -> None:
    printed = "".join(f"{acl.command()}\n" for acl in kafka_acls.acls(KafkaSettings()))
    assert (ROOT / "deploy" / "compose" / "acls.sh").read_text() == printed, "seatpool topics acls > deploy/compose/acls.sh"


def test_compose_gives_each_service_a_user_of_its_own_at_the_broker(compose: dict[str, Any]) -> None:
    services = compose["services"]
    start = (ROOT / "deploy" / "compose" / "kafka-start.sh").read_text()
    for name, role in [(service.name, service.name) for service in SERVICES if service.kafka] + [("topics", "operator")]:
        given = services[name]["environment"]
        assert given["SEATPOOL_KAFKA_SECURITY_PROTOCOL"] == "SASL_PLAINTEXT"
        assert given["SEATPOOL_KAFKA_SASL_USERNAME"] == f"seatpool-{role}"
        assert given["SEATPOOL_KAFKA_SASL_PASSWORD"] == f"${{SEATPOOL_KAFKA_PASSWORD_{role.upper()}}}"
        assert f" seatpool-{role}" in start
    for name, service in services.items():
        if name not in ("kafka", "acls"):
            assert "KAFKA_PASSWORD_ADMIN" not in str(service), name


def test_the_broker_of_compose_lets_nobody_do_what_no_list_says() -> None:
    text = (ROOT / "deploy" / "compose" / "kafka.properties").read_text()
    ours = SECURE_PROPERTIES.format(mechanism=MECHANISM, admin=ADMIN, password="")
    for line in ours.splitlines():
        if line.startswith(("sasl.", "authorizer.", "super.")):
            assert f"\n{line}\n" in text
    assert "allow.everyone" not in text
    assert "\ntransaction.max.timeout.ms=60000\n" in text


def test_the_image_gets_what_the_dockerfile_copies() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignore, f"{source} is not let in by .dockerignore"


def test_services_and_command_start_without_the_metadata_of_the_package() -> None:
    """As in the image, which contains folders and no package. The version is written twice, so both are compared."""
    for folder in ("services", "shared", "cli"):
        for path in (ROOT / folder).rglob("*.py"):
            assert "importlib.metadata" not in path.read_text(), f"{path} asks for metadata, which the image does not contain"
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_every_target_of_the_makefile_is_described() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony is not None
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(phony[1].split()) == set(re.findall(r"make ([a-z-]+)", listed))


@pytest.mark.parametrize("script", [".ci/run", *(f"deploy/compose/{path.name}" for path in (ROOT / "deploy" / "compose").glob("*.sh"))])
def test_scripts_are_valid_and_executable(script: str) -> None:
    assert (ROOT / script).stat().st_mode & 0o100
    subprocess.run(["bash", "-n", str(ROOT / script)], check=True)
