"""What ``suanwang agent check`` looks at: everything an agent needs, and what to do about the rest.

Nothing is changed. While an agent runs in this home its engine is not opened a second time: what
that agent last found is told instead.
"""

from __future__ import annotations

import os
import shutil
import ssl
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from suanwang.agent import energy
from suanwang.agent.client import PlatformClient, PlatformRefused, PlatformUnavailable
from suanwang.agent.engine_file import EngineChoice, read_choice
from suanwang.agent.gate import SiteFile
from suanwang.agent.home import AlreadyRunning, Home, Identity, NotEnrolled
from suanwang.agent.messages import Known
from suanwang.agent.spool import Spool
from suanwang.agent.yaml_file import FileWrong
from suanwang.engines.port import EngineUnavailable

Level = Literal["good", "doubtful", "wrong"]

FREE_MIB_WRONG = 256
FREE_MIB_DOUBTFUL = 2048
SKEW_DOUBTFUL_SECONDS = 2
SKEW_WRONG_SECONDS = 60


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: how it is, and how to put it right, in English and Chinese."""

    subject: str
    level: Level
    said: tuple[str, str]
    fix: tuple[str, str] = ("", "")


def findings(home: Home) -> Iterator[Finding]:
    """Look at everything."""
    running = _running(home)
    yield from _folder(home)
    choice = None
    try:
        choice = read_choice(home.engine_file)
    except FileWrong as error:
        yield Finding(
            "engine.yaml", "wrong", (str(error),) * 2,
            ("correct the file, or write a new one: suanwang agent enrol --engine …",
             "改正该文件，或用 suanwang agent enrol --engine … 重新生成"),
        )  # fmt: skip
    if choice is not None:
        yield from _engine_seen(home) if running else _engine(home, choice)
    yield from _site(home)
    yield from _energy(home)
    try:
        identity = home.identity()
    except NotEnrolled:
        yield Finding(
            "identity", "wrong", ("not enrolled", "尚未登记"),
            ("run: suanwang agent enrol --url … --token …",
             "运行：suanwang agent enrol --url … --token …"),
        )  # fmt: skip
        return
    yield from _platform(home, identity, choice)


def _running(home: Home) -> bool:
    try:
        os.close(home.lock())
    except AlreadyRunning:
        return True
    return False


def _folder(home: Home) -> Iterator[Finding]:
    found = home.root.stat()
    where = (str(home.root),) * 2
    if found.st_uid != os.geteuid():
        yield Finding(
            "folder", "wrong", where,
            ("it belongs to another user: run this as that user",
             "该文件夹属于其他用户：请以该用户运行"),
        )  # fmt: skip
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield Finding("folder", "wrong", where, (f"chmod go-w {home.root}",) * 2)
    else:
        yield Finding("folder", "good", where)
    for name in ("agent.key", "spool.sqlite"):
        path = home.root / name
        if path.exists() and path.stat().st_mode & 0o077:
            yield Finding(
                name, "wrong", ("others may read it", "其他用户可读"), (f"chmod 600 {path}",) * 2
            )
    free = shutil.disk_usage(home.root).free >> 20
    level: Level = (
        "wrong" if free < FREE_MIB_WRONG else "doubtful" if free < FREE_MIB_DOUBTFUL else "good"
    )
    yield Finding(
        "disk", level, (f"{free} MiB free", f"剩余 {free} MiB"),
        ("", "") if level == "good" else
        (f"free some room: {FREE_MIB_DOUBTFUL} MiB or more",
         f"请腾出空间，至少 {FREE_MIB_DOUBTFUL} MiB"),
    )  # fmt: skip


def _engine(home: Home, choice: EngineChoice) -> Iterator[Finding]:
    try:
        engine = choice.open(home.engine)
        facts, nodes = engine.capabilities(), engine.inventory()
    except FileWrong as error:
        yield Finding(
            "engine", "wrong", (str(error),) * 2,
            (f"correct {home.engine_file}", f"改正 {home.engine_file}"),
        )  # fmt: skip
        return
    except (EngineUnavailable, OSError) as error:
        yield Finding(
            "engine", "wrong", (f"{choice.kind}: {error}",) * 2,
            (f"see that it runs, that this user may use it, and the options in {home.engine_file}",
             f"确认引擎在运行且本用户有权使用，再核对 {home.engine_file} 中的选项"),
        )  # fmt: skip
        return
    cores = sum(node.cores for node in nodes)
    cards = sum(one.count for node in nodes for one in node.accelerators)
    name = f"{facts.engine} {facts.version} {facts.isolation}"
    said = (
        f"{name}: {len(nodes)} nodes, {cores} cores, {cards} cards",
        f"{name}：{len(nodes)} 个节点，{cores} 核，{cards} 张卡",
    )
    if nodes:
        yield Finding("engine", "good", said)
    else:
        yield Finding(
            "engine", "wrong", said,
            ("it offers no node: see its partitions, labels or limits",
             "没有可用节点：请检查分区、标签或上限"),
        )  # fmt: skip
    for note in facts.notes:
        yield Finding("isolation", "doubtful", (note,) * 2)


def _engine_seen(home: Home) -> Iterator[Finding]:
    spool = Spool(home.spool)
    wrong, at = spool.noted("engine_wrong"), spool.noted("engine_looked_at")
    refused, unknown = spool.noted("report_refused"), spool.noted("unknown_models")
    spool.close()
    if refused:
        yield Finding(
            "report", "wrong", (refused,) * 2,
            ("the platform does not take what the engine says it has: correct it there",
             "平台不接受引擎上报的资源：请在引擎一侧更正"),
        )  # fmt: skip
    if unknown:
        yield Finding(
            "cards", "doubtful",
            (f"not offered, for the platform's catalogue does not have them: {unknown}",
             f"平台目录中没有以下型号，这些卡不对外提供：{unknown}"),
            ("name each model of card in engine.yaml (accelerators) by its code in the platform's "
             "catalogue, or ask the operator for a new entry",
             "请在 engine.yaml 的 accelerators 中，用平台目录的编码写明每种加速卡，"
             "或请运营方增补目录"),
        )  # fmt: skip
    if wrong:
        yield Finding("engine", "wrong", (wrong,) * 2, ("see that it runs", "确认引擎在运行"))
    else:
        yield Finding(
            "engine",
            "good",
            (f"answered the running agent at {at}", f"运行中的代理于 {at} 收到应答"),
        )


def _site(home: Home) -> Iterator[Finding]:
    site = SiteFile(home.site_file)
    if site.policy() is None:
        yield Finding(
            "site.yaml", "wrong", (site.wrong,) * 2,
            ("correct it: until then no new work is taken", "请改正：在此之前不接受新作业"),
        )  # fmt: skip
    elif site.version:
        yield Finding("site.yaml", "good", ("read", "已读取"))
    else:
        yield Finding("site.yaml", "good", ("none: nothing is refused", "没有：不拒绝任何作业"))
    if home.drain_mark.exists():
        yield Finding(
            "drain", "doubtful", ("no new work is taken", "不接受新作业"),
            ("suanwang agent drain --undo",) * 2,
        )  # fmt: skip


def _energy(home: Home) -> Iterator[Finding]:
    try:
        energy.owed(home.energy_file, home.root, None, datetime.now(UTC))
    except FileWrong as error:
        yield Finding("energy.yaml", "wrong", (str(error),) * 2, ("correct it", "请改正"))


def _platform(home: Home, identity: Identity, choice: EngineChoice | None) -> Iterator[Finding]:
    parts = urlsplit(identity.url)
    proxy = getproxies().get(parts.scheme)
    way = f"{identity.url}"
    if proxy and parts.hostname and not proxy_bypass(parts.hostname):
        way += f" (proxy {urlsplit(proxy).hostname})"
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        yield Finding(
            "tls", "wrong", ("the platform is reached without TLS", "未经 TLS 连接平台"),
            ("enrol again with its https address", "请用 https 地址重新登记"),
        )  # fmt: skip
    if not identity.platform_key:
        yield Finding(
            "pin", "doubtful", ("the platform's key is not pinned", "未固定平台公钥"),
            ("enrol again with a new token", "请用新令牌重新登记"),
        )  # fmt: skip
    try:
        key = home.key()
    except (OSError, ValueError):
        return  # told with the folder
    client = PlatformClient(identity.url, key, identity.agent_id, identity.platform_key)
    try:
        began = time.time()
        known = _ask(client)
        middle = (began + time.time()) / 2
    except PlatformUnavailable as error:
        yield Finding("network", "wrong", (f"{way}: {error}",) * 2, _network_fix(error))
        return
    except PlatformRefused as error:
        yield Finding(
            "network", "wrong", (f"{way}: {error}",) * 2,
            ("is this the address of a platform of this version?", "该地址是否为本版本的平台？"),
        )  # fmt: skip
        return
    finally:
        client.close()
    yield Finding("network", "good", (f"{way}: {known.centre}/{known.cluster}",) * 2)
    yield _clock(known.server_time.timestamp() - middle)
    if choice is not None and known.engine != choice.kind:
        yield Finding(
            "rights", "wrong",
            (f"the cluster is registered with the engine {known.engine}, not {choice.kind}",
             f"该集群登记的引擎是 {known.engine}，不是 {choice.kind}"),
            ("correct engine.yaml, or enrol into a cluster of this engine",
             "改正 engine.yaml，或登记到该引擎的集群"),
        )  # fmt: skip
    else:
        yield Finding("rights", "good", ("the platform knows this agent", "平台认识该代理"))
    if known.drain:
        yield Finding(
            "drain", "doubtful",
            ("the platform ordered it to take no new work", "平台要求不接受新作业"),
            ("take it back on the page of the agent", "在代理页面撤销"),
        )  # fmt: skip


def _ask(client: PlatformClient) -> Known:
    """A clock that is minutes off is learned from the first answer."""
    try:
        return client.known()
    except PlatformUnavailable as error:
        if error.code != "request_time_wrong":
            raise
    return client.known()


def _clock(skew: float) -> Finding:
    off = abs(skew)
    level: Level = (
        "wrong"
        if off > SKEW_WRONG_SECONDS
        else "doubtful"
        if off > SKEW_DOUBTFUL_SECONDS
        else "good"
    )
    return Finding(
        "clock", level,
        (f"{off:.1f} s {'behind' if skew > 0 else 'ahead of'} the platform's",
         f"比平台{'慢' if skew > 0 else '快'} {off:.1f} 秒"),
        ("", "") if level == "good" else
        ("let this machine follow a time server (chrony, systemd-timesyncd)",
         "请启用时间同步（chrony 或 systemd-timesyncd）"),
    )  # fmt: skip


def _network_fix(error: PlatformUnavailable) -> tuple[str, str]:
    text, cause = str(error), error.__cause__
    if error.code in ("agent_unknown", "request_signature_wrong"):
        return (
            "the agent was revoked, or its key is another: enrol again with a new token",
            "代理已停用或密钥不符：请用新令牌重新登记",
        )
    if error.code == "request_time_wrong":
        return ("set this machine's clock", "请校准本机时钟")
    if "did not sign" in text:
        return (
            "a proxy answers in the platform's place, or the platform has a new key: ask them",
            "可能是代理服务器代为应答，或平台更换了密钥：请联系运营方",
        )
    if isinstance(cause, ssl.SSLError) or "CERTIFICATE" in text or "SSL" in text:
        return (
            "its certificate is not trusted here: install the authority's certificate "
            "and name it in SSL_CERT_FILE",
            "证书不受信任：请安装签发机构证书，并用 SSL_CERT_FILE 指定",
        )
    if "ProxyError" in text or "407" in text:
        return (
            "the proxy refuses: see HTTPS_PROXY and NO_PROXY, user and password included",
            "代理服务器拒绝：检查 HTTPS_PROXY 与 NO_PROXY，必要时写明用户名和密码",
        )
    if "ConnectError" in text or "Timeout" in text:
        return (
            "nothing answers there: see the name, the firewall (outwards, port 443) "
            "and, if only a proxy leads out, HTTPS_PROXY",
            "该地址无应答：检查域名、防火墙（出站 443），如需代理请设置 HTTPS_PROXY",
        )
    return ("try again later, then ask the platform's operator", "稍后再试，仍不行请联系运营方")


def worst(found: list[Finding]) -> Level:
    """How it stands altogether."""
    levels: tuple[Level, ...] = ("wrong", "doubtful")
    return next((level for level in levels if any(f.level == level for f in found)), "good")


def as_json(found: Finding) -> dict[str, str]:
    """For machines; the words in English."""
    return {
        "subject": found.subject,
        "level": found.level,
        "said": found.said[0],
        "fix": found.fix[0],
    }
