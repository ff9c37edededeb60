"""From measured figures to a plan: each step one line of arithmetic, which docs/scaling.md shows with its numbers.

What is measured is the work of one worker on the machine of bench/growth.json, and that of views and API in
bench/results.json. What is assumed stands in `ASSUMED`: put your own numbers there.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

WORKERS = (1, 10, 100, 1_000)

#: Name -> value and meaning of what nobody has measured here.
ASSUMED: dict[str, tuple[float, str]] = {
    "used": (0.5, "share of a worker's speed that is planned with: the rest is for peaks and for take-overs"),
    "replicas": (3, "replication factor of the topics"),
    "broker_mb": (40, "MB a second that one broker takes from producers and other brokers together"),
    "broker_partitions": (4_000, "partition replicas that one broker leads or follows"),
    "topics": (12, "topics of one platform, of both realms"),
    "platform_workers": (125, "workers of one platform: above it, companies are spread over several"),
    "spread": (4, "partitions a worker, so that none has twice as many as another, and companies spread evenly"),
    "rows": (1.5, "events that one command leads to"),
    "posted": (0.3, "share of commands that come over HTTP"),
    "audit_bytes": (600, "bytes of the audit that a command leaves; the audit worker was not measured"),
    "core_price": (0.04, "price of a core with 4 GB for an hour"),
    "gb_price": (0.08, "price of a GB of disk for a month"),
    "months": (12, "months that journal and audit are kept, for the price of storage"),
}


@dataclass(frozen=True)
class Measured:
    """What the plan starts from, all for one process on one machine."""

    commands: float
    log_bytes: float
    journal_bytes: float
    projected: float
    posted: float

    @classmethod
    def of(cls, growth: Mapping[str, Any], results: Mapping[str, Any]) -> "Measured":
        """The slowest of the measured points of a worker; what the other benchmarks say of views and API."""
        points, figures = growth["points"].values(), results["figures"]
        large = [point for point in points if point["value"] > 1]
        posting = figures.get("posting", {})
        posted = [value for name, value in posting.items() if name.startswith("accepted_per_second")]
        return cls(
            commands=min(point["commands_per_second"] for point in points),
            log_bytes=max(point["log_bytes_per_command"] for point in large),
            journal_bytes=max(point["journal_bytes_per_command"] for point in large),
            projected=1 / sum(1 / figures["projection"][f"{group}_projected"] for group in ("fleet", "history")),
            posted=max(posted, default=POSTED),
        )


#: Requests a second that one API process is planned with where no benchmark has said it.
POSTED = 300.0


@dataclass(frozen=True)
class Plan:
    """What so many workers take."""

    workers: int
    measured: Measured
    assumed: Mapping[str, float] = field(default_factory=lambda: {name: value for name, (value, _) in ASSUMED.items()})

    def __getattr__(self, name: str) -> float:
        return self.assumed[name]

    @property
    def commands(self) -> float:
        return self.workers * self.measured.commands * self.used

    @property
    def platforms(self) -> int:
        return math.ceil(self.workers / self.platform_workers)

    @property
    def partitions(self) -> int:
        """Of each platform."""
        return math.ceil(self.workers / self.platforms * self.spread)

    @property
    def written_mb(self) -> float:
        return self.commands * self.measured.log_bytes * self.replicas / 1e6

    @property
    def brokers(self) -> int:
        """Of each platform: for the bytes, for the partitions, and never less than there are replicas."""
        bytes_ = self.written_mb / self.platforms / self.broker_mb
        replicas = self.partitions * self.topics * self.replicas / self.broker_partitions
        return max(int(self.replicas), math.ceil(bytes_), math.ceil(replicas))

    @property
    def shards(self) -> int:
        """PostgreSQL servers that take writes, each with a views worker of its own."""
        return max(self.platforms, math.ceil(self.commands * self.rows / (self.measured.projected * self.used)))

    @property
    def apis(self) -> int:
        return max(2, math.ceil(self.commands * self.posted / (self.measured.posted * self.used)))

    @property
    def cores(self) -> int:
        """One for each process, two for each broker, for each PostgreSQL and for its replica."""
        return self.workers + self.shards + self.apis + 2 * self.brokers * self.platforms + 4 * self.shards

    @property
    def price(self) -> float:
        """Of a million commands: the hour's cores by the hour's commands, and the disk for what is kept of them when
        commands, outcomes and old state have gone."""
        computed = self.cores * self.core_price / (self.commands * 3600) * 1e6
        return computed + self.stored

    @property
    def stored(self) -> float:
        kept = self.measured.journal_bytes + self.audit_bytes
        return kept * self.replicas * self.gb_price * self.months * 1e6 / 1e9


def steps(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """What, how it is computed, and with which numbers."""
    m, p = plan.measured, plan
    yield "commands a second", "workers x measured x used", f"{p.workers:,} x {m.commands:,.0f} x {p.used}"
    yield "platforms", "workers / platform_workers, up", f"{p.workers:,} / {p.platform_workers:.0f}"
    yield "partitions a platform", "workers / platforms x spread", f"{p.workers:,} / {p.platforms} x {p.spread:.0f}"
    yield (
        "MB written a second",
        "commands x log_bytes x replicas",
        f"{p.commands:,.0f} x {m.log_bytes:,.0f} B x {p.replicas:.0f}",
    )
    yield (
        "brokers a platform",
        "most of: replicas; MB / platforms / broker_mb; partitions x topics x replicas / broker_partitions",
        f"{p.replicas:.0f}; {p.written_mb:,.0f} / {p.platforms} / {p.broker_mb:.0f}; "
        f"{p.partitions} x {p.topics:.0f} x {p.replicas:.0f} / {p.broker_partitions:,.0f}",
    )
    yield (
        "PostgreSQL shards, with a views worker each",
        "commands x rows / (projected x used), up",
        f"{p.commands:,.0f} x {p.rows} / ({m.projected:,.0f} x {p.used})",
    )
    yield (
        "API processes",
        "commands x posted / (posted a process x used), up",
        f"{p.commands:,.0f} x {ASSUMED['posted'][0]} / ({m.posted:,.0f} x {p.used})",
    )
    yield (
        "cores",
        "workers + shards + APIs + 2 x brokers + 4 x shards",
        f"{p.workers:,} + {p.shards:,} + {p.apis:,} + 2 x {p.brokers * p.platforms:,} + 4 x {p.shards:,}",
    )
    yield (
        "price of a million commands",
        "cores x core_price / (commands x 3,600) x 10^6 "
        "+ (journal + audit_bytes) x replicas x gb_price x months / 10^3",
        f"{p.cores:,} x {p.core_price} / ({p.commands:,.0f} x 3,600) x 10^6 + ({m.journal_bytes:,.0f} + "
        f"{p.audit_bytes:.0f}) x {p.replicas:.0f} x {p.gb_price} x {p.months:.0f} / 10^3",
    )


def results_of(plan: Plan) -> tuple[str, ...]:
    """The right sides of the steps, in their order."""
    values = (plan.commands, plan.platforms, plan.partitions, plan.written_mb, plan.brokers, plan.shards, plan.apis)
    return (*(f"{value:,.0f}" for value in (*values, plan.cores)), f"{plan.price:.2f}")
