"""The identity provider for development never runs beside production settings."""

import pytest

from deploy.local.identity_provider import main, production_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEATPOOL_DATABASE_URL", "postgresql://users:pw@db.internal/users"),
        ("SEATPOOL_KAFKA_BOOTSTRAP", "127.0.0.1:9092,kafka-2:9092"),
        ("SEATPOOL_KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("SEATPOOL_KAFKA_SASL_USERNAME", "users"),
        ("SEATPOOL_SMTP_URL", "smtps://user:pw@mail.example:465"),
        ("SEATPOOL_USERS_URL", "https://users.example"),
        ("SEATPOOL_SIGN_IN_LINK_URL", "https://console.example/sign-in/link"),
        ("SEATPOOL_TRUSTED_PROXIES", "10.0.0.7"),
        ("SEATPOOL_HOST", "0.0.0.0"),
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
    ],
)
def test_it_refuses_to_start_with_production_settings(name: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["1"], {name: value}) == 2
    assert name in capsys.readouterr().err
    assert value not in capsys.readouterr().err


def test_the_settings_of_a_local_stack_are_no_production_settings() -> None:
    local = {
        "SEATPOOL_DATABASE_URL": "postgresql://users:pw@127.0.0.1:5432/users",
        "SEATPOOL_KAFKA_BOOTSTRAP": "localhost:9092,127.0.0.1:9093",
        "SEATPOOL_USERS_URL": "http://127.0.0.1:8001",
        "SEATPOOL_HOST": "::1",
        "SEATPOOL_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        "SEATPOOL_TRUSTED_PROXIES": "",
    }
    assert production_settings(local) == []
    assert production_settings({}) == []
