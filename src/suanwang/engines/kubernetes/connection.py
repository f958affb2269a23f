"""Whom to speak to, as whom: from a kubeconfig file or from inside the cluster.

Only credentials that are plain facts are taken: a token, a token file, a client certificate. A
kubeconfig that wants a program run (``exec``, ``auth-provider``) is refused: the agent runs
nothing on its own machine because a file says so.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from suanwang.engines.kubernetes.settings import KubernetesSettings

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_FILE_BYTES_MAX = 1 << 20


class KubeconfigRefused(ValueError):
    """The credentials are not there, or are of a kind that is not taken."""


@dataclass(frozen=True)
class Connection:
    """One API server and one identity, in one namespace."""

    server: str
    namespace: str
    tls: ssl.SSLContext | None
    """None only for a server on loopback without TLS, as ``kubectl proxy`` is."""
    fixed_token: str | None = None
    token_file: Path | None = None
    """Read again for every request: a service account's token changes every hour."""
    proxy: str | None = None

    def token(self) -> str | None:
        """Raises ``OSError`` if the file cannot be read."""
        if self.token_file is not None:
            return self.token_file.read_text(encoding="ascii").strip()
        return self.fixed_token


def connection(settings: KubernetesSettings) -> Connection:
    """What the settings point at. Raises ``KubeconfigRefused``."""
    try:
        if settings.kubeconfig is None:
            return _in_cluster(settings)
        return _from_kubeconfig(settings, settings.kubeconfig)
    except (OSError, ssl.SSLError, binascii.Error) as error:
        raise KubeconfigRefused(f"credentials cannot be read: {error}") from None


def _in_cluster(settings: KubernetesSettings) -> Connection:
    host, port = (
        os.environ.get("KUBERNETES_SERVICE_HOST"),
        os.environ.get("KUBERNETES_SERVICE_PORT"),
    )
    if not host or not port:
        raise KubeconfigRefused("no kubeconfig is named, and this is not inside a cluster")
    where = f"[{host}]" if ":" in host else host
    tls = ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt"))
    own = (SERVICE_ACCOUNT / "namespace").read_text(encoding="ascii").strip()
    token_file = SERVICE_ACCOUNT / "token"
    return Connection(
        f"https://{where}:{port}", settings.namespace or own, tls, token_file=token_file
    )


def _from_kubeconfig(settings: KubernetesSettings, path: Path) -> Connection:
    if path.stat().st_size > _FILE_BYTES_MAX:
        raise KubeconfigRefused(f"{path} is too large for a kubeconfig")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise KubeconfigRefused(f"{path} is not YAML: {error}") from None
    whole = _mapping(found)
    wanted = settings.context or whole.get("current-context")
    context = _named(whole, "contexts", "context", wanted)
    cluster = _named(whole, "clusters", "cluster", context.get("cluster"))
    user = _named(whole, "users", "user", context.get("user"))
    namespace = settings.namespace or context.get("namespace")
    if not isinstance(namespace, str):
        raise KubeconfigRefused("say which namespace jobs run in: it is never guessed")
    token, token_file = user.get("token"), user.get("tokenFile")
    return Connection(
        _server(cluster),
        namespace,
        _tls(cluster, user, path.parent),
        fixed_token=token if isinstance(token, str) else None,
        token_file=path.parent / token_file if isinstance(token_file, str) and not token else None,
        proxy=cluster.get("proxy-url"),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise KubeconfigRefused("this is no kubeconfig")
    return value


def _named(whole: Mapping[str, Any], many: str, one: str, name: object) -> Mapping[str, Any]:
    entries = whole.get(many)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name:
            return _mapping(entry.get(one))
    raise KubeconfigRefused(f"the kubeconfig has no {one} called {name!r}")


def _server(cluster: Mapping[str, Any]) -> str:
    server = cluster.get("server")
    if not isinstance(server, str):
        raise KubeconfigRefused("the cluster has no server")
    parts = urlsplit(server)
    if parts.scheme == "https" or (parts.scheme == "http" and _loopback(parts.hostname or "")):
        return server.rstrip("/")
    raise KubeconfigRefused("the server is not reached by https")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls(
    cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path
) -> ssl.SSLContext | None:
    for kind in ("exec", "auth-provider", "username"):
        if user.get(kind):
            raise KubeconfigRefused(
                f"credentials of the kind {kind!r} are not taken: use a token or a certificate"
            )
    if cluster.get("insecure-skip-tls-verify"):
        raise KubeconfigRefused(
            "insecure-skip-tls-verify is not taken: name the certificate authority"
        )
    if str(cluster.get("server")).startswith("http:"):
        return None
    authority = _bytes_of(cluster, "certificate-authority", folder)
    tls = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
    # As kubectl does: a server's own certificate may be what is named as its authority.
    tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if name := cluster.get("tls-server-name"):
        raise KubeconfigRefused(f"tls-server-name ({name}) is not supported")
    certificate, key = (
        _bytes_of(user, f"client-{what}", folder) for what in ("certificate", "key")
    )
    if certificate and key:
        with tempfile.TemporaryDirectory(prefix="sw-kube-") as place:  # ssl reads files only
            for file, data in (("certificate", certificate), ("key", key)):
                (Path(place) / file).touch(mode=0o600)
                (Path(place) / file).write_bytes(data)
            tls.load_cert_chain(f"{place}/certificate", f"{place}/key")
    return tls


def _bytes_of(entry: Mapping[str, Any], name: str, folder: Path) -> bytes | None:
    """What stands in the file itself, or in another file it names."""
    if isinstance(data := entry.get(f"{name}-data"), str):
        return base64.b64decode(data, validate=True)
    if isinstance(other := entry.get(name), str):
        return (folder / other).read_bytes()
    return None
