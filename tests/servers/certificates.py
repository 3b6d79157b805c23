"""Certificates for servers that tests start."""

import subprocess
from pathlib import Path

from tests.servers.ports import HOST


def certify(certificate: Path, key: Path) -> None:
    """Make a self-signed certificate for HOST, and its key, as PEM files."""
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    named = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=IP:{HOST}"]
    # From Python 3.13 an authority must say what its key is for.
    usage = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    subprocess.run(["openssl", *made, *files, *named, *usage], check=True, capture_output=True)
