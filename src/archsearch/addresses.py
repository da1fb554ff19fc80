"""Which network addresses are this machine's own and no other's, and that no proxy knows them."""

from __future__ import annotations

import ipaddress
import urllib.request
from collections.abc import Mapping

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is reached from this machine alone; nothing is looked up."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:127.0.0.1
    return bool((mapped or address).is_loopback)


def without_proxy_for_loopback(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables with which no program asks a proxy for this machine's loopback.

    Args:
        environment: Variables as they are; what they except from proxies stays excepted.
    """
    given = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    names = [name.strip() for name in given.split(",") if name.strip()]
    if "*" in names:  # no proxy for anything
        return {}
    value = ",".join(dict.fromkeys([*names, *_LOOPBACK_NAMES]))
    return {"no_proxy": value, "NO_PROXY": value}  # programs differ in which one they read


def open_directly(url: str, timeout: float) -> int:
    """The status that a server of this machine answers; asked of no proxy.

    Raises:
        OSError: It does not answer, or with an error.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=timeout) as answer:
        return int(answer.status)
