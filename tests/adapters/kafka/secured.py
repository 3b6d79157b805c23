"""A broker with listeners that require TLS and users, with certificates for it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers import Kafka
from tests.servers.kafka import CLUSTER
from tests.servers.ports import HOST, free_ports

USER, PASSWORD = "alice", "s3cr3t/p@ss"
ENCODED = "s3cr3t%2Fp%40ss"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
AUTHORITY = "keyUsage=critical,keyCertSign"
"""What a key is for. From Python 3.13 an authority must say so."""
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True)
class Secured:
    """Host and port of each listener. `authority` has signed the certificates, for 127.0.0.1."""

    broker: Kafka
    certificates: Path
    tls: str  # requires client certificates
    plain: str  # SASL PLAIN and SCRAM, without TLS
    both: str  # SASL over TLS

    @property
    def authority(self) -> Path:
        return self.certificates / "ca.pem"

    @property
    def stranger(self) -> Path:
        """Another authority."""
        return self.certificates / "stranger.pem"


def secured(root: Path) -> Secured:
    """Make the broker, without starting it."""
    certificates = root / "certificates"
    certificates.mkdir(parents=True)
    for name in ("ca", "stranger"):
        _openssl(
            certificates,
            "req",
            "-x509",
            *_new_key(name),
            "-out",
            f"{name}.pem",
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
            "-addext",
            AUTHORITY,
        )
    for name in ("broker", "client"):
        _sign(certificates, name)
    broker = KafkaWithUser(root)
    tls, plain, both = (f"{HOST}:{port}" for port in free_ports(3))
    broker.settings |= _listeners(broker, tls, plain, both) | _tls(certificates)
    return Secured(broker, certificates, tls, plain, both)


class KafkaWithUser(Kafka):
    """A broker that knows USER with PASSWORD, for both SCRAM mechanisms."""

    def _make(self) -> None:
        self._configure()
        user = f'[name="{USER}",password="{PASSWORD}"]'
        users = [
            argument
            for bits in (256, 512)
            for argument in ("--add-scram", f"SCRAM-SHA-{bits}={user}")
        ]
        self._run(
            *self._java(
                "kafka.tools.StorageTool",
                "format",
                "-t",
                CLUSTER,
                "-c",
                str(self._properties),
                *users,
            )
        )


def _listeners(broker: Kafka, tls: str, plain: str, both: str) -> dict[str, str]:
    advertised = f"PLAINTEXT://{broker.address},TLS://{tls},PLAIN://{plain},BOTH://{both}"
    jaas = {
        f"listener.name.{name}.plain.sasl.jaas.config": (
            f'{PLAIN} required user_{USER}="{PASSWORD}";'
        )
        for name in ("plain", "both")
    }
    scram = {
        f"listener.name.{name}.scram-sha-{bits}.sasl.jaas.config": f"{SCRAM} required;"
        for name in ("plain", "both")
        for bits in (256, 512)
    }
    return {
        "advertised.listeners": advertised,
        "listeners": f"{advertised},CONTROLLER://{broker.controller}",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,PLAIN:SASL_PLAINTEXT,BOTH:SASL_SSL"
        ),
        "listener.name.plain.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.both.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
        "listener.name.tls.ssl.client.auth": "required",
        **jaas,
        **scram,
    }


def _tls(certificates: Path) -> dict[str, str]:
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates / "broker.keystore.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates / "ca.pem"),
    }


def _sign(certificates: Path, name: str) -> None:
    _openssl(certificates, "req", *_new_key(name), "-out", f"{name}.csr", "-subj", f"/CN={name}")
    (certificates / f"{name}.ext").write_text(
        f"subjectAltName=IP:{HOST}\nauthorityKeyIdentifier=keyid\n"
    )
    signed_by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    _openssl(
        certificates,
        "x509",
        "-req",
        "-in",
        f"{name}.csr",
        *signed_by,
        "-extfile",
        f"{name}.ext",
        "-out",
        f"{name}.pem",
    )
    (certificates / f"{name}.keystore.pem").write_bytes(
        (certificates / f"{name}.key").read_bytes() + (certificates / f"{name}.pem").read_bytes()
    )


def _new_key(name: str) -> tuple[str, ...]:
    return ("-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, cwd=folder, capture_output=True)
