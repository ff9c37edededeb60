"""`bitcorp describe`: what this build consists of, computed from the classes that do the work."""

from collections.abc import Callable
from typing import Any, Literal

from ops.console import AsJson, out, table, write_json
from ops.settings import shown, variable
from topics.settings import Settings

Rows = list[tuple[Any, ...]]
Section = Literal["topics", "commands", "events", "refusals", "routes", "views", "metrics", "settings"]


def describe(section: Section | None = None, /, *, json: AsJson = False) -> None:
    """Topics, commands with permissions and routes, events, refusals, views, metrics and settings as they really are.

    Parameters
    ----------
    section
        Only this part.
    json
        One JSON object with a list per part.
    """
    wanted = [section] if section else list(SECTIONS)
    parts = {name: SECTIONS[name] for name in wanted}
    if json:
        write_json(
            {name: [dict(zip(columns, row, strict=True)) for row in rows()] for name, (columns, rows) in parts.items()}
        )
        return
    for name, (columns, rows) in parts.items():
        out.print(table(name.capitalize(), columns, rows()))
        out.print()


def topics() -> Rows:
    from topics.catalogue import TOPICS

    settings = Settings()
    return [
        (t.named(settings.prefix), settings.partitions, t.key, t.config["cleanup.policy"], t.meaning) for t in TOPICS
    ]


def commands() -> Rows:
    """Every command with who may send it and how; those without a route are no outsider's."""
    from api.commands import path_of
    from domain import OFFERED, REALMS
    from domain.decider import kebab

    return [
        (
            kebab(rule.command.__name__),
            rule.permission,
            realm.name,
            ", ".join([*sorted(rule.roles), *(["operators"] if rule.operators else ()), *sorted(rule.systems)]),
            f"POST {path_of(rule)}" if rule.type in OFFERED else "",
            rule.type,
            rule.summary,
        )
        for realm in REALMS.values()
        for rule in realm.rules.values()
    ]


def events() -> Rows:
    from domain import REALMS
    from views import GROUPS

    return [
        (
            event.__name__,
            realm.name,
            realm.homes[event].name,
            wire_type,
            ", ".join(view.name for group in GROUPS.values() for view in group.views if view.handles(event)),
        )
        for realm in REALMS.values()
        for wire_type, event in realm.events.items()
    ]


def refusals() -> Rows:
    """Every code that a rejected command can have."""
    import agents.decision  # noqa: F401  (declares the codes of the lane)
    from domain.decider import Refusal

    return [(refusal.code, refusal.kind, refusal.meaning) for _, refusal in sorted(Refusal.known.items())]


def routes() -> Rows:
    from api.app import make_app

    found = {
        (route.method, route.resource.canonical)
        for route in make_app(_with_a_broker(Settings())).router.routes()
        if route.resource is not None and route.method not in ("HEAD", "OPTIONS", "*")
    }
    return [(method, path) for path, method in sorted((path, method) for method, path in found)]


def _with_a_broker(settings: Settings) -> Settings:
    """The API refuses to be made without one; nothing is opened until it starts."""
    return settings.model_copy(update={"kafka": settings.kafka or "127.0.0.1:9"})


def views() -> Rows:
    from views import GROUPS

    return [
        (
            view.name,
            group.name,
            group.source,
            str(view.table),
            ", ".join(sorted(kind.__name__ for kind in view.handlers)),
        )
        for group in GROUPS.values()
        for view in group.views
    ]


def metrics() -> Rows:
    from topics.metrics import METRICS

    return [(metric.name, metric.kind, ", ".join(metric.labels), metric.meaning) for metric in METRICS]


def settings() -> Rows:
    return [(variable(name), shown(value), Settings.model_fields[name].description) for name, value in Settings()]


SECTIONS: dict[str, tuple[tuple[str, ...], Callable[[], Rows]]] = {
    "topics": (("topic", "partitions", "key", "cleanup", "meaning"), topics),
    "commands": (("command", "permission", "realm", "who", "route", "type", "meaning"), commands),
    "events": (("event", "realm", "aggregate", "type", "views"), events),
    "refusals": (("code", "kind", "meaning"), refusals),
    "routes": (("method", "path"), routes),
    "views": (("view", "group", "source", "table", "events"), views),
    "metrics": (("metric", "kind", "labels", "meaning"), metrics),
    "settings": (("variable", "value", "meaning"), settings),
}
