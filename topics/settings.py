"""Every setting of the product: `BITCORP_*` variables, one line of meaning each, printed by `bitcorp settings`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from the environment; unset values suit the embedded single-node stack."""

    model_config = SettingsConfigDict(env_prefix="BITCORP_", frozen=True, extra="ignore")

    kafka: str = Field("", description="Kafka bootstrap servers, host:port[,host:port]; empty: the embedded broker")
    database: SecretStr = Field(SecretStr(""), description="PostgreSQL DSN of the owner role; empty: embedded server")
    directory: Path = Field(Path(".bitcorp"), description="Folder of the embedded servers' data, logs and downloads")
    jars: Path | None = Field(None, description="Folder with Kafka's jars; default: jars/ in the folder above")

    prefix: str = Field("erp", pattern=r"^[a-z0-9-]{1,40}$", description="Prefix of all topics and consumer groups")
    partitions: int = Field(6, ge=1, le=500, description="Partitions of every topic, fixed when they are created")
    replication: int = Field(1, ge=1, le=9, description="Replication factor of every topic")
    single_node: bool = Field(True, description="Allow replication < 3 and min.insync.replicas < 2")

    session_seconds: float = Field(6.0, ge=1, le=300, description="Kafka session: a dead worker is replaced after it")
    check_seconds: float = Field(900.0, gt=0, le=3000, description="How often a lane compares its changelog's end")
    group_commands: int = Field(500, ge=1, le=5000, description="Most commands in one commit of a lane")
    failures_before_stop: int = Field(20, ge=1, description="Rules that raise in a row before the worker stops")

    api_host: str = Field("127.0.0.1", description="Address the API listens on")
    api_port: int = Field(8080, ge=0, le=65535, description="Port the API listens on; 0: any free one")
    body_limit: int = Field(1_048_576, ge=1024, description="Largest request body in bytes")
    wait_limit: float = Field(30.0, gt=0, le=300, description="Longest `Prefer: wait` and Consistency wait in seconds")
    token_issuer: str = Field("bitcorp", description="`iss` of access tokens")
    token_audience: str = Field("bitcorp-api", description="`aud` of access tokens")
    token_private_key: SecretStr = Field(
        SecretStr(""), description="PEM of the EdDSA key that `bitcorp token` signs with"
    )
    token_public_keys: str = Field("", description="PEM of the EdDSA keys that the API accepts; empty: the stack's own")
    metrics_host: str = Field("127.0.0.1", description="Address of a worker's /metrics and /health")
    metrics_port: int = Field(0, ge=0, le=65535, description="Port of a worker's /metrics and /health; 0: none")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")
    log_format: Literal["auto", "json", "text"] = Field("auto", description="auto: text on a terminal, JSON elsewhere")
