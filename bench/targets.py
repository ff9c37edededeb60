"""What each figure shall be, in one list; and, by hand, why a figure that misses its target does so.

docs/performance.md, the verdicts of `bitcorp bench` and its exit code come from here.
"""

import operator
from dataclasses import dataclass

COMPARED = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True)
class Target:
    """What a figure of a benchmark shall be. `why` is shown where it is not."""

    benchmark: str
    figure: str
    sign: str
    goal: float
    meaning: str
    why: str = ""

    def met(self, value: float) -> bool:
        return bool(COMPARED[self.sign](value, self.goal))


SHARED = (
    "Others use the machine too: within hours the same benchmark gave p50 14.4 and p99 49.3 ms, and 19.8 and 80.3 ms."
)

TARGETS = (
    Target(
        "job_j",
        "ratio",
        ">=",
        0.6,
        "Commands a second of one worker, all guarantees on, as a share of what a raw aiokafka loop does without any",
        "The raw loop validates one model and writes three records. The worker runs the rules of the business, keeps "
        "claims and rosters, chains the journal, digests its state and writes outcomes with their positions.",
    ),
    Target(
        "job_j",
        "quix_ratio",
        ">=",
        1.05,
        "The same beside Quix Streams at least once",
        "Quix Streams does the job of the raw loop, over a client in C: no rules, claims, chain or answers in order.",
    ),
    Target(
        "two_workers",
        "ratio",
        ">=",
        1.7,
        "Commands a second of two workers with a partition each, as times those of one with both",
        "Broker, two workers and the benchmark share the cores of the machine; a worker alone leaves none idle.",
    ),
    Target(
        "latency",
        "p50_ms",
        "<=",
        15,
        "Command to outcome over Kafka at 300 commands a second, p50 in ms",
        SHARED,
    ),
    Target("latency", "p99_ms", "<=", 60, "The same, p99 in ms", SHARED),
    Target(
        "posting",
        "levels_off",
        "<=",
        1.5,
        "p99 of POST to answer at 4,000 commands a second, as times that at 2,000: more than the machine can do",
    ),
    Target(
        "listing",
        "ratio",
        "<=",
        3,
        "p99 of a page of 1,000,000 machines over HTTP, as times that of the bare SQL",
        "The API checks the token and the caller's rights, and makes and writes fifty items, in one Python process: "
        "that costs the same however many machines there are, and more than the statement.",
    ),
    Target("rebuilding", "ratio", ">=", 0.5, "Events a second of a view rebuild, as share of COPY of the same rows"),
    Target(
        "takeover",
        "beyond_session_seconds",
        "<=",
        2,
        "Seconds beyond the session until another worker answers after kill -9, with 100,000 machines per partition",
        "The new owner first reads all records of the partition's changelog, of which compaction takes none for two "
        "hours. With `BITCORP_STANDBYS=1` it has read them before.",
    ),
    Target(
        "takeover",
        "beyond_session_seconds_followed",
        "<=",
        2,
        "The same with `BITCORP_STANDBYS=1`: another worker has followed the partition",
    ),
    Target("soak", "growth", "<=", 0.1, "Growth of the memory of any process in an hour of steady load"),
    Target("memory", "bytes_per_machine", "<=", 1024, "Bytes that a command worker needs for a machine"),
    Target("projection", "ratio", ">=", 0.5, "Rows a second folded into views, as share of plain inserts of the same"),
    Target("past", "ratio", "<=", 3, "Time to read a machine as it was, as times that to read it as it is"),
    Target("depreciation", "ratio", "<=", 25, "Time for schedules of depreciation, as times the bare arithmetic"),
    Target(
        "importing",
        "p99_ratio",
        "<=",
        2,
        "p99 of others' commands during an import, as times that without",
        "An import adds commands to the same lanes, views and broker, on two cores. It sends ten and rests as "
        "long as these took; without that it would be far more.",
    ),
    # Of deciding alone, which is four fifths of job J: a tenth of that.
    Target(
        "signing",
        "share",
        "<=",
        0.125,
        "What checking a signature adds to the time to decide a command",
        "A check of Ed25519 takes OpenSSL some 30 microseconds, and deciding has become faster than the goal supposed.",
    ),
)

BY_FIGURE = {(target.benchmark, target.figure): target for target in TARGETS}
