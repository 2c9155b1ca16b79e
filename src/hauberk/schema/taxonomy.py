"""The asset taxonomy: 9 classes, 38 subclasses, with their titles in English and Chinese.

A subclass is named `class.subclass`. Every place that lists assets walks these tables;
a subclass without a collector is shown as "not collected", never as 0.
"""

from __future__ import annotations

import msgspec


class Title(msgspec.Struct, frozen=True, array_like=True):
    """One text in both languages."""

    en: str
    zh: str


class Subclass(msgspec.Struct, frozen=True):
    """One kind of asset. `id` is `class.subclass`."""

    id: str
    title: Title


class AssetClass(msgspec.Struct, frozen=True):
    """One of the nine classes, with its subclasses in display order."""

    id: str
    title: Title
    subclasses: tuple[Subclass, ...]


def _class(id_: str, en: str, zh: str, *subs: tuple[str, str, str]) -> AssetClass:
    return AssetClass(
        id_, Title(en, zh), tuple(Subclass(f"{id_}.{s}", Title(e, z)) for s, e, z in subs)
    )


CLASSES: tuple[AssetClass, ...] = (
    _class(
        "hardware",
        "Hardware",
        "硬件",
        ("cpu_memory", "CPU and memory", "处理器与内存"),
        ("storage", "Disks and filesystems", "磁盘与文件系统"),
        ("nic", "Network cards", "网卡"),
        ("firmware", "Firmware, TPM, virtualisation", "固件、TPM 与虚拟化"),
    ),
    _class(
        "os",
        "OS and kernel",
        "操作系统与内核",
        ("release", "OS release and patches", "系统版本与补丁"),
        ("kernel", "Kernel and boot parameters", "内核与启动参数"),
        ("module", "Kernel modules and drivers", "内核模块与驱动"),
    ),
    _class(
        "access",
        "Accounts and access",
        "账号与权限",
        ("user", "Users", "用户"),
        ("group", "Groups", "用户组"),
        ("privilege", "Sudo and privilege", "sudo 与特权"),
        ("credential", "SSH keys, certificates, credentials", "SSH 密钥、证书与凭据"),
        ("login", "Login sessions", "登录会话"),
    ),
    _class(
        "runtime",
        "Processes and runtime",
        "进程与运行时",
        ("process", "Processes", "进程"),
        ("library", "Loaded libraries", "已加载的库"),
        ("language", "Language runtimes", "语言运行时"),
        ("limits", "Environment and limits", "环境变量与资源限制"),
    ),
    _class(
        "network",
        "Network",
        "网络",
        ("listening_port", "Listening ports", "监听端口"),
        ("connection", "Connections", "网络连接"),
        ("interface", "Interfaces and routes", "网络接口与路由"),
        ("firewall", "Firewall rules", "防火墙规则"),
        ("resolver", "DNS, hosts, proxy", "DNS、hosts 与代理"),
    ),
    _class(
        "software",
        "Software",
        "软件",
        ("os_package", "OS packages", "系统软件包"),
        ("language_package", "Language packages", "语言软件包"),
        ("java_archive", "Java archives", "Java 归档"),
        ("unowned_binary", "Unowned binaries", "无归属二进制文件"),
    ),
    _class(
        "persistence",
        "Services and persistence",
        "服务与自启动",
        ("service", "Services and units", "服务与单元"),
        ("scheduled_task", "Scheduled tasks", "计划任务"),
        ("startup", "Startup and autorun", "启动项"),
    ),
    _class(
        "application",
        "Applications",
        "应用",
        ("web_server", "Web servers", "Web 服务器"),
        ("web_site", "Web sites", "Web 站点"),
        ("web_app", "Web apps and frameworks", "Web 应用与框架"),
        ("database", "Databases", "数据库"),
        ("middleware", "Middleware, queues, caches", "中间件、消息队列与缓存"),
    ),
    _class(
        "container",
        "Containers and cloud-native",
        "容器与云原生",
        ("container", "Containers", "容器"),
        ("image", "Images", "镜像"),
        ("registry", "Registries", "镜像仓库"),
        ("pod", "Pods, workloads, RBAC", "Pod、工作负载与 RBAC"),
        ("node", "Nodes, clusters, functions", "节点、集群与函数"),
    ),
)

SUBCLASSES: dict[str, Subclass] = {s.id: s for c in CLASSES for s in c.subclasses}
