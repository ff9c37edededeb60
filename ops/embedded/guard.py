"""Kafka with TLS, users and rights: what a broker's settings must say, here and in docker-compose.yml."""

import ssl
from dataclasses import dataclass
from pathlib import Path

SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
#: Clients come with a user and a password, brokers and operators with a certificate; nobody comes without.
GUARDED = {
    "listener.security.protocol.map": "CLIENT:SASL_SSL,OPERATOR:SSL,CONTROLLER:SSL",
    "inter.broker.listener.name": "OPERATOR",
    "listener.name.client.sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "listener.name.client.scram-sha-512.sasl.jaas.config": f"{SCRAM} required;",
    "listener.name.operator.ssl.client.auth": "required",
    "listener.name.controller.ssl.client.auth": "required",
    "ssl.keystore.type": "PEM",
    "ssl.truststore.type": "PEM",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:CN=broker;User:CN=operator",
}


@dataclass(frozen=True)
class Guard:
    """PEM files: the broker's key with its certificate, the operator's, and the authority that signed both."""

    broker: Path
    operator: Path
    authority: Path

    def properties(self) -> dict[str, str]:
        stores = {"ssl.keystore.location": str(self.broker), "ssl.truststore.location": str(self.authority)}
        return GUARDED | stores

    def context(self) -> ssl.SSLContext:
        """To come in as the operator."""
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.operator)
        return context
