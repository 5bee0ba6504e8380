"""The fixtures that every other integration test stands on."""

import asyncpg

from deploy.local.kafka import cluster_id_at


async def test_the_broker_of_the_run_answers(kafka_bootstrap: str) -> None:
    assert await cluster_id_at(kafka_bootstrap) is not None


async def test_the_server_of_the_run_answers(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        assert await connection.fetchval("select 1") == 1
    finally:
        await connection.close()
