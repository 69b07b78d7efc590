"""Servers that want credentials: certificates and JWTs made on the fly, and a NATS server that takes them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fixtures.clusters.embedded.supervised_process import suite_program
from fixtures.core import nkeys
from tests.support.reference_stack import BOOT_S, free_port, listens, process
from tests.support.waiting import wait_for

#: The first byte of an nkey, by what it is for; a seed has "S" before it. Source: nats-io/nkeys, README
PREFIX = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
SEED = 18 << 3


class Key:
    """An nkey pair: `public` is its name ("O…", "A…", "U…"), `seed` its secret ("SO…", "SA…", "SU…")."""

    def __init__(self, kind: str) -> None:
        self.secret, prefix = os.urandom(32), PREFIX[kind]
        public = nkeys._expanded(self.secret)[2]
        self.public = _text(bytes([prefix]) + public)
        self.seed = _text(bytes([SEED | prefix >> 5, (prefix & 31) << 3]) + self.secret)

    def jwt(self, subject: str, name: str, claims: dict[str, Any], expires: float | None = None) -> str:
        """A NATS JWT (version 2) about `subject`, signed by this key."""
        body: dict[str, Any] = {
            "iat": int(time.time()),
            "iss": self.public,
            "name": name,
            "sub": subject,
            "nats": claims,
        }
        if expires is not None:
            body["exp"] = int(expires)
        digest = hashlib.sha256(json.dumps(body).encode()).digest()
        body["jti"] = base64.b32encode(digest).decode().rstrip("=")
        signed = f"{_url64({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_url64(body)}"
        signature = nkeys.ed25519(self.secret, signed.encode())
        return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _text(raw: bytes) -> str:
    return base64.b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")


def _url64(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


class Operator:
    """An operator with one account that has JetStream; gives users their credentials.

    `tiers`: the account's limits on disk (bytes) for streams of so many replicas ("R1"), in place of none.
    """

    def __init__(self, **tiers: int) -> None:
        self.operator, self.system, self.account = Key("operator"), Key("account"), Key("account")
        nothing = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1, "leaf": -1}
        storage = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
        tiered = {name: {**storage, "disk_storage": size} for name, size in tiers.items()}
        limits = {"wildcards": True, **nothing, **({"tiered_limits": tiered} if tiers else storage)}
        claims = {"type": "account", "version": 2, "limits": limits}
        self.account_jwt = self.operator.jwt(self.account.public, "fleet", claims)
        system = {"type": "account", "version": 2, "limits": {"wildcards": True, **nothing}}
        self.system_jwt = self.operator.jwt(self.system.public, "SYS", system)
        about = {"type": "operator", "version": 2, "system_account": self.system.public}
        self.jwt = self.operator.jwt(self.operator.public, "test", about)

    def configuration(self) -> str:
        return (
            f"operator: {self.jwt}\nsystem_account: {self.system.public}\nresolver: MEMORY\n"
            f"resolver_preload: {{ {self.account.public}: {self.account_jwt}\n"
            f"{self.system.public}: {self.system_jwt} }}\n"
        )

    def credentials(self, *, expires: float | None = None) -> str:
        """The content of a .creds file of a new user."""
        user = Key("user")
        claims = {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}
        jwt = self.account.jwt(user.public, "suite", claims, expires)
        return (
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )


class Authority:
    """A certificate authority of a folder's own, by the openssl program."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.ca = folder / f"{name}-ca.pem"
        self._run(
            "req", "-x509", *self._key(folder / f"{name}-ca.key"), "-out", str(self.ca),
            "-subj", f"/CN={name} authority", "-days", "2",
        )  # fmt: skip

    def issue(self, name: str, names: str = "IP:127.0.0.1,DNS:localhost", days: int = 2) -> tuple[Path, Path]:
        """(certificate, key) for `names` in OpenSSL's notation; `days` below 0: it has expired."""
        base = self.folder / f"{self.name}-{name}"
        cert, key, request = base.with_suffix(".pem"), base.with_suffix(".key"), base.with_suffix(".csr")
        extensions = base.with_suffix(".ext")
        extensions.write_text(f"subjectAltName={names}\n")
        self._run("req", *self._key(key), "-out", str(request), "-subj", f"/CN={name}")
        self._run(
            "x509", "-req", "-in", str(request), "-CA", str(self.ca), "-CAkey", str(self.ca.with_suffix(".key")),
            "-CAcreateserial", "-out", str(cert), "-extfile", str(extensions), "-days", str(days),
        )  # fmt: skip
        return cert, key

    def intermediate(self, name: str) -> Authority:
        """An authority that this one has issued."""
        issued = Authority(self.folder, name)
        key, request, extensions = (issued.ca.with_suffix(suffix) for suffix in (".key", ".csr", ".ext"))
        extensions.write_text("basicConstraints=critical,CA:TRUE\n")
        self._run("req", "-new", "-key", str(key), "-out", str(request), "-subj", f"/CN={name} authority")
        self._run(
            "x509", "-req", "-in", str(request), "-CA", str(self.ca), "-CAkey", str(self.ca.with_suffix(".key")),
            "-CAcreateserial", "-out", str(issued.ca), "-extfile", str(extensions), "-days", "2",
        )  # fmt: skip
        return issued

    @staticmethod
    def _key(path: Path) -> list[str]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path)]

    @staticmethod
    def _run(*arguments: str) -> None:
        program = shutil.which("openssl")
        assert program, "openssl is needed to make certificates (on Debian and Ubuntu: apt-get install openssl)"
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr}"


@contextmanager
def secured_nats(folder: Path, configuration: str) -> Iterator[str]:
    """A real NATS server with JetStream and `configuration`; its host:port."""
    port = free_port()
    file = folder / f"nats-{port}.conf"
    file.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}/js-{port}" }}\n{configuration}')
    with process([str(suite_program("nats-server")), "-c", str(file)], folder / f"nats-{port}.log"):
        wait_for(lambda: listens(port), "NATS listening", BOOT_S)
        yield f"127.0.0.1:{port}"
