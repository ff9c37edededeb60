"""Every metric of the product, each with one line of meaning. Companies and users are never labels: there are too many.

A metric is made here and nowhere else; `bitcorp describe` and the docs print `table()`.
"""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from threading import Thread

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import MetricsHandler

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Description:
    """One line of the list of metrics."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


METRICS: list[Description] = []


def table() -> str:
    """All metrics as a Markdown table."""
    rows = [f"| `{m.name}` | {m.kind} | {', '.join(m.labels)} | {m.meaning} |" for m in METRICS]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *rows])


def _listed(kind: str, name: str, meaning: str, labels: tuple[str, ...]) -> tuple[str, str, tuple[str, ...]]:
    METRICS.append(Description(name, kind, labels, meaning))
    return name, meaning, labels


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(*_listed("counter", name, meaning, labels))


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    return Gauge(*_listed("gauge", name, meaning, labels))


def _histogram(name: str, meaning: str, *labels: str, buckets: tuple[float, ...] = SECONDS) -> Histogram:
    return Histogram(*_listed("histogram", name, meaning, labels), buckets=buckets)


def _info(name: str, meaning: str) -> Info:
    _listed("info", f"{name}_info", meaning, ())
    return Info(name, meaning)


PROCESS = _info("bitcorp_process", "What runs here: process, version of the product and of Python.")

LANE_COMMANDS = _counter("bitcorp_lane_commands_total", "Commands decided, by the status of their outcome.", "status")
LANE_REPEATS = _counter("bitcorp_lane_repeats_total", "Commands that came again under a remembered id.")
LANE_REROUTED = _counter("bitcorp_lane_rerouted_total", "Commands on a wrong partition, sent on to their own.")
LANE_DEAD_LETTERS = _counter(
    "bitcorp_lane_dead_letters_total", "Records set aside in the dead letters, by reason.", "reason"
)
LANE_GROUP_COMMANDS = _histogram("bitcorp_lane_group_commands", "Commands in one commit of a lane.", buckets=SIZES)
LANE_COMMIT_SECONDS = _histogram("bitcorp_lane_commit_seconds", "Time until a commit's state batch is acknowledged.")
LANE_TAKEOVERS = _counter("bitcorp_lane_takeovers_total", "Partitions taken over, the first time after start included.")
LANE_VOID_BATCHES = _counter(
    "bitcorp_lane_void_batches_total", "State batches of ours that another owner's write made void."
)
LANE_PARTITIONS = _gauge("bitcorp_lane_partitions", "Partitions that this worker decides now.")
LANE_REFUSING = _gauge(
    "bitcorp_lane_refusing", "1 where a partition is not fit to be served: see the log.", "partition"
)
LANE_LAG = _gauge("bitcorp_lane_lag", "Commands not yet decided, by partition.", "partition")
LANE_STATE_RECORDS = _gauge("bitcorp_lane_state_records", "State records in memory, by partition.", "partition")
LANE_STATE_BYTES = _gauge("bitcorp_lane_state_bytes", "Bytes of state records in memory, by partition.", "partition")

VIEW_EVENTS = _counter("bitcorp_view_events_total", "Records folded into the views, by view group.", "group")
VIEW_BATCH_SECONDS = _histogram("bitcorp_view_batch_seconds", "Time of one transaction, by view group.", "group")
VIEW_POSITION = _gauge("bitcorp_view_position", "Last position folded, by view group.", "group", "partition")
VIEW_LAG = _gauge("bitcorp_view_lag", "Records not yet folded, by view group.", "group", "partition")
VIEW_PAUSED = _gauge(
    "bitcorp_view_paused", "1 where a view group stands still: unknown event or gap.", "group", "partition"
)
VIEW_RETRIES = _counter("bitcorp_view_retries_total", "Transactions tried again, by view group.", "group")

DEAD_LETTERS_OPEN = _gauge(
    "bitcorp_dead_letters_open", "Dead letters neither tried again nor discarded, by reason; all companies.", "reason"
)

WORKER_RETRIES = _counter(
    "bitcorp_worker_retries_total", "Actions of importer and timer tried again: Kafka or PostgreSQL was away."
)

IMPORT_RECORDS = _counter(
    "bitcorp_import_records_total", "Records of other systems: sent as commands, or quarantined.", "result"
)
IMPORT_LAG = _gauge("bitcorp_import_lag", "Records of other systems not yet mapped.", "partition")

AUDIT_RECORDS = _counter("bitcorp_audit_records_total", "Outcomes recorded in the audit, by realm.", "realm")
AUDIT_LAG = _gauge("bitcorp_audit_lag", "Outcomes not yet recorded in the audit.", "realm", "partition")

TIMER_DUE = _gauge("bitcorp_timer_due", "Plans of maintenance that were due at the last look and not settled yet.")
TIMER_COMMANDS = _counter("bitcorp_timer_commands_total", "Commands that the timer has sent, by type.", "type")

API_REQUESTS = _counter("bitcorp_api_requests_total", "Requests answered.", "route", "method", "status")
API_REQUEST_SECONDS = _histogram("bitcorp_api_request_seconds", "Time to answer a request.", "route", "method")
API_WAITERS = _gauge("bitcorp_api_waiters", "Requests that wait for an outcome or a position now.")
API_IN_FLIGHT = _gauge("bitcorp_api_in_flight", "Commands that this API process has published and no lane has decided.")
API_PUBLISHES = _counter(
    "bitcorp_api_publishes_total",
    "Requests with commands for Kafka: acknowledged, unavailable, too-large, or overloaded and not sent.",
    "result",
)


def identify(process: str, version: str) -> None:
    """Say in the metrics what this process is."""
    PROCESS.info({"process": process, "version": version, "python": platform.python_version()})


def serve(port: int, host: str = "127.0.0.1", healthy: Callable[[], bool] = lambda: True) -> ThreadingHTTPServer:
    """Answer /metrics and /health from a thread until `shutdown()`; port 0 takes any free one (`server_port`)."""

    class Handler(MetricsHandler):
        registry = REGISTRY
        server_version, sys_version = "bitcorp", ""
        timeout = 10.0

        def do_GET(self) -> None:
            if self.path.partition("?")[0] == "/metrics":
                super().do_GET()
            elif self.path == "/health":
                self._say(200, "ok\n") if healthy() else self._say(503, "stuck\n")
            else:
                self._say(404, "There are /metrics and /health.\n")

        def _say(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
