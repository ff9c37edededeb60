"""Every setting of the product: `BITCORP_*` variables, one line of meaning each, printed by `bitcorp settings`."""

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

PREFIX = "BITCORP_"


class Settings(BaseSettings):
    """Read from the environment; unset values suit the embedded single-node stack."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    kafka: str = Field(
        default="", description="Kafka bootstrap servers, host:port[,host:port]; empty: the embedded broker"
    )
    kafka_protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL"] = Field(
        default="PLAINTEXT",
        description="How Kafka knows this process: not at all (embedded broker), by certificate, by user and password",
    )
    kafka_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        default="SCRAM-SHA-512", description="SASL mechanism for SASL_SSL"
    )
    kafka_user: str = Field(default="", description="User for SASL_SSL, such as erp-lanes; see: bitcorp access show")
    kafka_password: SecretStr = Field(default=SecretStr(""), description="Password of that user")
    kafka_ca: Path | None = Field(
        default=None, description="PEM file of the authorities that sign the brokers' certificates, for SSL, SASL_SSL"
    )
    kafka_certificate: Path | None = Field(
        default=None, description="PEM file with this process's private key and certificate, for SSL"
    )
    database: SecretStr = Field(
        default=SecretStr(""), description="PostgreSQL DSN of the owner role; empty: embedded server"
    )
    directory: Path = Field(
        default=Path(".bitcorp"), description="Folder of the embedded servers' data, logs and downloads"
    )
    jars: Path | None = Field(default=None, description="Folder with Kafka's jars; default: jars/ in the folder above")

    secrets: Path | None = Field(
        default=None,
        description="Folder with a file such as bitcorp_kafka_password for what the environment does not set",
    )

    prefix: str = Field(
        default="erp", pattern=r"^[a-z0-9-]{1,40}$", description="Prefix of all topics and consumer groups"
    )
    partitions: int = Field(
        default=6, ge=1, le=500, description="Partitions of every topic, fixed when they are created"
    )
    replication: int = Field(default=1, ge=1, le=9, description="Replication factor of every topic")
    single_node: bool = Field(default=True, description="Allow replication < 3 and min.insync.replicas < 2")

    mappings: Path = Field(
        default=Path("examples/imports"),
        description="Folder with a mapping <source>.toml for each system that is imported from",
    )

    session_seconds: float = Field(
        default=6.0, ge=1, le=300, description="Kafka session: a dead worker is replaced after it"
    )
    check_seconds: float = Field(
        default=900.0, gt=0, le=3000, description="How often a lane compares its changelog's end"
    )
    group_commands: int = Field(default=500, ge=1, le=5000, description="Most commands in one commit of a lane")
    standbys: int = Field(
        default=0,
        ge=0,
        le=5,
        description="Workers beside its owner that keep a partition's state in memory, for quicker take-overs",
    )
    failures_before_stop: int = Field(default=20, ge=1, description="Rules that raise in a row before the worker stops")

    timer_seconds: float = Field(
        default=10.0, gt=0, le=3600, description="How often the timer looks for plans that are due"
    )

    api_host: str = Field(default="127.0.0.1", description="Address the API listens on")
    api_port: int = Field(default=8080, ge=0, le=65535, description="Port the API listens on; 0: any free one")
    api_url: str = Field(
        default="",
        pattern=r"^(https?://[^/\s]+)?$",
        description="Public URL of the API; https:// turns HSTS on, empty: relative links",
    )
    body_limit: int = Field(default=1_048_576, ge=1024, description="Largest request body in bytes")
    wait_limit: float = Field(
        default=30.0, gt=0, le=300, description="Longest `Prefer: wait` and Consistency wait in seconds"
    )
    most_in_flight: int = Field(
        default=100,
        ge=1,
        description="Commands of one partition that an API process has published and no lane has decided; more are "
        "answered 503 and not taken",
    )
    rate_limits: str = Field(
        default="resources=1000/minute;10000/hour, auth=500/minute;5000/hour, users=500/minute;5000/hour, "
        "reports=100/minute;1000/hour",
        description="Requests taken of each user, or address without a token, by the first part of the path below "
        "/api/v1; `resources` is all the rest; empty: as many as come",
    )
    rate_limit_store: SecretStr = Field(
        default=SecretStr("memory"),
        description="Where requests are counted: `memory` (each API process by itself) or redis://host:port/0",
    )
    trusted_proxies: str = Field(
        default="", description="Networks, comma between, of the proxies whose X-Forwarded-For is believed"
    )
    cors_origins: str = Field(
        default="", description="Origins, comma between, of web pages that may use the API; empty: its own alone"
    )
    address_connections: int = Field(
        default=200, ge=1, description="Most open connections of one address to an API process, proxies excepted"
    )
    token_issuer: str = Field(default="bitcorp", description="`iss` of access tokens")
    token_audience: str = Field(default="bitcorp-api", description="`aud` of access tokens")
    token_private_key: SecretStr = Field(
        default=SecretStr(""), description="PEM of the EdDSA keys for access tokens: the first signs, all are accepted"
    )
    token_public_keys: str = Field(
        default="", description="PEM of more EdDSA keys that the API accepts; no key of either sort: the stack's own"
    )
    token_minutes: int = Field(default=10, ge=1, le=60, description="How long an access token of a sign-in lasts")
    refresh_days: int = Field(default=14, ge=1, le=30, description="How long a session lasts that is not refreshed")
    totp_keys: SecretStr = Field(
        default=SecretStr(""),
        description="Fernet keys that second factors are encrypted with, comma between: the first encrypts; "
        "empty: the stack's own",
    )
    oidc_issuer: str = Field(
        default="", description="Issuer of another provider's access tokens that the API accepts; empty: none"
    )
    oidc_audience: str = Field(default="", description="`aud` of that provider's access tokens for this API")
    oidc_jwks_url: str = Field(
        default="", description="Where that provider publishes its keys; empty: found by OpenID Connect Discovery"
    )
    oidc_company_claim: str = Field(
        default="", description="Claim that names the company; empty: the header Bitcorp-Company does"
    )
    signing_key: SecretStr = Field(
        default=SecretStr(""), description="<id>:<X25519 private key> with which this process signs commands"
    )
    lanes_public_key: str = Field(default="", description="X25519 public key of the lanes, for processes that sign")
    lanes_private_key: SecretStr = Field(
        default=SecretStr(""), description="X25519 private key of the lanes, the same for all, to check signatures"
    )
    root_public_key: str = Field(default="", description="Ed25519 public key by which lanes know the root key")
    root_private_key: SecretStr = Field(
        default=SecretStr(""), description="Ed25519 private key that admits processes: for bitcorp keys apply"
    )
    unsigned_commands: bool | None = Field(
        default=None, description="Whether lanes take unsigned commands; default: only where single_node is on"
    )
    metrics_host: str = Field(default="127.0.0.1", description="Address of a worker's /metrics and /health")
    metrics_port: int = Field(default=0, ge=0, le=65535, description="Port of a worker's /metrics and /health; 0: none")

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged"
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="auto: text on a terminal, JSON elsewhere"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, then the files of the folder that it names."""
        folder = os.environ.get(f"{PREFIX}SECRETS")
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder or None)

    @property
    def takes_unsigned(self) -> bool:
        return self.single_node if self.unsigned_commands is None else self.unsigned_commands

    @model_validator(mode="after")
    def _signs_in_production(self) -> Self:
        if self.unsigned_commands and not self.single_node:
            raise ValueError("unsigned commands are for single-node use alone: set BITCORP_UNSIGNED_COMMANDS=false")
        return self
