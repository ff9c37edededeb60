"""What Kafka's TLS needs: an authority, and certificates that it signs, as PEM files."""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

YEARS = timedelta(days=5 * 365)
#: A clock that is a little behind must not find a new certificate invalid.
EARLIER = timedelta(minutes=5)
CA, CA_KEY = "ca.pem", "ca-key.pem"


class Authority:
    """Signs the certificates of brokers and operators; kept in `ca.pem` and `ca-key.pem` of a folder."""

    def __init__(self, folder: Path) -> None:
        """The one that lies in the folder, or a new one."""
        self.certificate_path = folder / CA
        key_path = folder / CA_KEY
        if not key_path.exists():
            self._make(key_path)
        loaded = serialization.load_pem_private_key(key_path.read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        self._key = loaded
        self._certificate = x509.load_pem_x509_certificate(self.certificate_path.read_bytes())

    def _make(self, key_path: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("bitcorp-kafka")
        made = _builder(name, name, key.public_key())
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        write_private(key_path, _private(key))
        self.certificate_path.write_bytes(_public(made.sign(key, hashes.SHA256())))

    def issue(self, path: Path, name: str, hosts: Sequence[str] = ()) -> None:
        """Write a new private key and its certificate for CN=<name>, the hosts' too, to one file that is ours alone."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _builder(_name(name), self._certificate.subject, key.public_key())
        made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        made = made.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        made = made.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        if hosts:
            made = made.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        write_private(path, _private(key) + _public(made.sign(self._key, hashes.SHA256())))


def write_private(path: Path, content: bytes) -> None:
    """Write a file that nobody else may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.touch(mode=0o600)
    part.write_bytes(content)
    part.replace(path)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return made.serial_number(x509.random_serial_number()).not_valid_before(now - EARLIER).not_valid_after(now + YEARS)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
