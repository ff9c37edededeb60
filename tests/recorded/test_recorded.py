"""What past releases decided is decided alike by this build, byte by byte, or the change is declared."""

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from agents.refold import fold_journal
from domain import REALMS
from domain.category import category
from domain.engine import is_command
from domain.model import Event
from tests.recorded.declared import DECLARED
from tests.recorded.recording import Case, decided, events_of, read, releases, write
from topics.cloudevents import Record

CASES = [(path.name.removesuffix(".jsonl.gz"), case) for path in releases() for case in read(path)]
ADVICE = """
If this is meant, it is a migration: name ("{release}", "{case}") in tests/recorded/declared.py, with the decision and
what becomes of what was decided before. If it is not, another build would fork what this one has decided: mend it."""


def named(value: object) -> str:
    return value.name if isinstance(value, Case) else str(value)


def differences(case: Case) -> Iterator[str]:
    """What this build sends otherwise, command by command."""
    for number, (then, now) in enumerate(zip(case.sent, decided(case).sent, strict=True)):
        for old, new in zip_longest(then, now):
            for part, *both in compared(old, new):
                yield f"command {number}, {part}\n  then: {both[0]}\n  now:  {both[1]}"


def compared(old: Record | None, new: Record | None) -> Iterator[tuple[str, object, object]]:
    if old is None or new is None:
        yield "a record", old and content(old), new and content(new)
        return
    for part, then, now in zip(("topic", "key", "value"), content(old), content(new), strict=False):
        if then != now:
            yield f"{part} in {old.topic}", then, now
    before, after = dict(old.headers), dict(new.headers)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name) and not is_stack(name, old):
            yield f"header {name} in {old.topic}", before.get(name), after.get(name)


def content(record: Record) -> tuple[str, bytes | None, bytes | None]:
    return record.topic, record.key, record.value


def is_stack(name: str, record: Record) -> bool:
    """A stack names lines of code, which move."""
    return name == "bitcorp-detail" and dict(record.headers).get("bitcorp-reason") == b"failed"


def test_there_is_a_record_of_a_release() -> None:
    assert CASES


@pytest.mark.parametrize(("release", "case"), CASES, ids=named)
def test_what_a_release_decided_is_decided_alike_or_declared(release: str, case: Case) -> None:
    found = list(differences(case))
    if (release, case.name) in DECLARED:
        assert found, "declared as changed, and it is not: take it out of tests/recorded/declared.py"
    else:
        assert not found, "\n".join(found[:5]) + ADVICE.format(release=release, case=case.name)


@pytest.mark.parametrize(("release", "case"), CASES, ids=named)
def test_the_journal_of_a_release_folds_into_the_state_that_its_commands_lead_to(release: str, case: Case) -> None:
    folded = {key: value for key, value in fold_journal(events_of(case), REALMS[case.realm]).items() if value}
    if (release, case.name) not in DECLARED:
        assert folded == {key: value for key, value in decided(case).state.items() if not is_command(key)}


def test_a_declared_migration_names_a_case_that_there_is() -> None:
    assert set(DECLARED) <= {(release, case.name) for release, case in CASES}
    assert all(len(reason) > 20 for reason in DECLARED.values())


def test_a_rule_that_decides_otherwise_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record proves something: a rule that changes only how a name is written is seen."""
    (case,) = [case for _, case in CASES if case.name == "category.define"]
    rule = next(rule for rule in category.rules.values() if rule.permission == case.name)

    def shouted(state: Any, cmd: Any, context: Any) -> Iterable[Event]:
        return rule.decide(state, cmd.model_copy(update={"name": cmd.name.upper()}), context)

    monkeypatch.setitem(REALMS[case.realm].rules, rule.type, replace(rule, decide=shouted))
    found = list(differences(case))
    assert any("value in erp.events" in each for each in found)
    assert any("ce_chain" in each for each in found)


def test_a_record_reads_as_it_was_written(tmp_path: Path) -> None:
    path, release = tmp_path / "again.jsonl.gz", releases()[-1]
    write(path, list(read(release)))
    assert gzip.decompress(path.read_bytes()) == gzip.decompress(release.read_bytes())
