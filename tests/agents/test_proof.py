"""Who is believed: a lane checks each command's signature before it decides, by its own state alone."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agents.decision import Draft, Place
from agents.proof import Proof
from agents.state import Head
from domain.decider import Actor
from domain.record import Outcome
from tests.agents.orders import MORNING, OPERATOR, company_on, create_equipment, opening, order, record_of, rename
from topics.catalogue import DEAD_LETTERS, own_company
from topics.cloudevents import Record
from topics.keys import Secret, base64url
from topics.messages import CommandMessage, read_dead_letter, read_outcome
from topics.settings import Settings
from topics.signing import ROOT, Sign, ed25519_signer, hmac_signer, shared_secret

PARTITIONS = 2
FIRM, OTHER = company_on(0, PARTITIONS), company_on(0, PARTITIONS, 1)
HOME = own_company(0, PARTITIONS)
ROOT_KEY, LANES_KEY, API_KEY = Ed25519PrivateKey.generate(), X25519PrivateKey.generate(), X25519PrivateKey.generate()
PLANT = Secret.new(FIRM, "plant")
YEAR = 365 * 24 * 3600 * 1000

PROOF = Proof(False, LANES_KEY.private_bytes_raw(), base64url(ROOT_KEY.public_key().public_bytes_raw()))
as_root = ed25519_signer(ROOT, ROOT_KEY)
as_plant = ed25519_signer(PLANT.key_id, PLANT.private_key)


def sender(kid: str, key: X25519PrivateKey = API_KEY) -> Sign:
    return hmac_signer(
        kid, shared_secret(key.private_bytes_raw(), base64url(LANES_KEY.public_key().public_bytes_raw()))
    )


as_api = sender("api")


class Desk:
    """Commands decided one at a time by a lane that asks for signatures, read ahead or not."""

    def __init__(self, proof: Proof = PROOF, *, ahead: bool = False) -> None:
        self.ahead = ahead
        self.place = Place("sim", 0, PARTITIONS, proof=proof)
        self.state: dict[str, bytes] = {}
        self.head = Head("commands-1")
        self.letters: list[Record] = []

    def take(self, command: CommandMessage, at: int = MORNING) -> Outcome:
        draft = Draft(self.place, self.head, self.state.get)
        record = record_of(command)._replace(offset=self.head.applied + 1, timestamp=at)
        if self.ahead:
            draft.read_ahead([record])
        draft.take(record)
        commit = draft.commit()
        self.head = commit.head
        self.state.update((key, value) for key, value in commit.changes.items() if value is not None)
        self.letters += [record for record in commit.sends if record.topic == f"sim.{DEAD_LETTERS.name}"]
        return [read_outcome(record)[0] for record in commit.sends if record.topic == "sim.outcomes"][-1]

    def refuses(self, command: CommandMessage, at: int = MORNING) -> str:
        """The detail of the refusal, which a dead letter tells too."""
        state, letters = dict(self.state), len(self.letters)
        outcome = self.take(command, at)
        assert (outcome.status, outcome.code, outcome.kind) == ("rejected", "unauthenticated", "unauthenticated")
        assert {key: value for key, value in self.state.items() if not key.startswith("~")} == state
        letter = read_dead_letter(self.letters[letters])
        assert (letter.reason, letter.detail) == ("unauthenticated", outcome.detail)
        return outcome.detail or ""

    def accepts(self, command: CommandMessage, at: int = MORNING) -> None:
        outcome = self.take(command, at)
        assert outcome.status == "accepted", outcome


def admit(*vouches: str, process: str = "api", key: X25519PrivateKey = API_KEY, **more: Any) -> CommandMessage:
    data = {"process_id": process, "public_key": base64url(key.public_key().public_bytes_raw()), "vouches": vouches}
    return on_process("admit-process", process, data, **more)


def on_process(verb: str, process: str, data: dict[str, Any], **more: Any) -> CommandMessage:
    plain = order(HOME, f"platform.{verb}", process, data, actor=OPERATOR, **more)
    return plain._replace(data=plain.data.replace(f'"platform_id": "{process}", '.encode(), b""))


def make_key(**changes: Any) -> CommandMessage:
    data = {"key_id": "plant", "name": "Plant", "public_key": PLANT.public_key, "permissions": ["equipment.rename"]}
    return order(FIRM, "key.create-key", "plant", data | changes)


def by_plant(name: str = "Digger", company: str = FIRM) -> CommandMessage:
    return rename(company, "m-1", name, actor=Actor("key", "plant"), command_id=name)


@pytest.fixture(params=[False, True], ids=["as it comes", "read ahead"])
def desk(request: pytest.FixtureRequest) -> Desk:
    """A company with a machine and a key, all told by the API, which the root has admitted."""
    desk = Desk(ahead=request.param)
    desk.accepts(as_root(admit("user", "key", "operator")))
    for command in (*opening(FIRM), create_equipment(FIRM, "m-1", 1), make_key()):
        desk.accepts(as_api(command))
    return desk


def test_what_nobody_signed_is_refused_and_set_aside(desk: Desk) -> None:
    assert desk.refuses(rename(FIRM, "m-1", "Digger")) == "The command is not signed."


def test_a_refused_command_takes_no_id_so_that_its_owner_can_still_send_it(desk: Desk) -> None:
    command = rename(FIRM, "m-1", "Digger")
    desk.refuses(command)
    desk.accepts(as_api(command))
    desk.refuses(command)
    assert desk.take(as_api(command)).repeat


def test_what_cannot_be_read_takes_no_id_either(desk: Desk) -> None:
    command = rename(FIRM, "m-1", "Digger")
    outcome = desk.take(command._replace(data=b"{"))
    assert (outcome.code, outcome.conflict) == ("unauthenticated", True)
    assert read_dead_letter(desk.letters[-1]).reason == "invalid"
    desk.accepts(as_api(command))


def test_a_changed_command_is_refused(desk: Desk) -> None:
    signed = as_api(rename(FIRM, "m-1", "Digger"))
    desk.refuses(signed._replace(actor=Actor("user", "max")))
    desk.refuses(signed._replace(data=signed.data.replace(b"Digger", b"Dagger")))
    desk.refuses(signed._replace(signature=(signed.signature or "")[:-4] + "AAAA"))
    desk.refuses(signed._replace(signature="nonsense"))


def test_a_system_signs_with_its_company_s_key(desk: Desk) -> None:
    desk.accepts(as_plant(by_plant()))
    desk.refuses(as_plant(rename(FIRM, "m-1", "Digger")))  # not as somebody else
    desk.refuses(ed25519_signer("plant", Ed25519PrivateKey.generate())(by_plant("Another")))
    desk.refuses(ed25519_signer("nobody", PLANT.private_key)(by_plant("Another")))


def test_a_company_s_key_is_worth_nothing_in_another_company(desk: Desk) -> None:
    for command in opening(OTHER):
        desk.accepts(as_api(command))
    desk.refuses(as_plant(by_plant("Digger", OTHER)))


def test_a_revoked_key_stops_working_in_its_order(desk: Desk) -> None:
    before, after = as_plant(by_plant("Before")), as_plant(by_plant("After"))
    desk.accepts(before)
    desk.accepts(as_api(order(FIRM, "key.revoke-key", "plant", {"reason": "stolen"})))
    assert "revoked" in desk.refuses(after)


def test_a_key_stops_working_when_it_expires(desk: Desk) -> None:
    soon = {"name": "Plant", "permissions": ["equipment.rename"], "expires_at": "2026-06-01T00:00:00Z"}
    desk.accepts(as_api(order(FIRM, "key.change-key", "plant", soon)))
    desk.accepts(as_plant(by_plant("Before")))
    assert "expired" in desk.refuses(as_plant(by_plant("After")), MORNING + YEAR)


def test_a_process_speaks_only_for_whom_it_vouches(desk: Desk) -> None:
    timer = X25519PrivateKey.generate()
    desk.accepts(as_root(admit("system:planner", process="timer", key=timer)))
    desk.refuses(sender("timer", timer)(rename(FIRM, "m-1", "Digger")))
    desk.refuses(as_api(rename(FIRM, "m-1", "Digger", actor=Actor("system", "planner"))))
    review = order(FIRM, "plan.review-plan", "weekly", {}, actor=Actor("system", "planner"))
    assert desk.take(sender("timer", timer)(review)).code == "plan-unknown"


def test_a_dismissed_process_is_believed_no_more(desk: Desk) -> None:
    desk.accepts(as_root(on_process("dismiss-process", "api", {"process_id": "api", "reason": "replaced"})))
    desk.refuses(as_api(rename(FIRM, "m-1", "Digger")))


def test_only_the_root_admits_processes_signed_commands_being_asked_for_or_not() -> None:
    for unsigned in (False, True):
        desk = Desk(replace(PROOF, unsigned=unsigned))
        desk.refuses(admit("user"))
        desk.refuses(ed25519_signer(ROOT, Ed25519PrivateKey.generate())(admit("user")))
        desk.accepts(as_root(admit("user", "operator")))
        desk.refuses(as_api(admit("system:planner")))
    Desk(Proof()).refuses(as_root(admit("user")))


def test_where_unsigned_commands_are_taken_a_wrong_signature_is_still_refused() -> None:
    desk = Desk(replace(PROOF, unsigned=True))
    for command in (*opening(FIRM), create_equipment(FIRM, "m-1", 1)):
        desk.accepts(command)
    desk.refuses(rename(FIRM, "m-1", "Digger")._replace(signature="nonsense"))
    desk.refuses(as_api(rename(FIRM, "m-1", "Digger")))


def test_the_public_key_is_no_secret_of_the_other_algorithm(desk: Desk) -> None:
    desk.refuses(hmac_signer("plant", PLANT.private_key.public_key().public_bytes_raw())(by_plant()))


def test_production_takes_no_unsigned_commands() -> None:
    assert Proof.of(Settings()).unsigned
    assert not Proof.of(Settings(single_node=False)).unsigned
    assert not Proof.of(Settings(unsigned_commands=False)).unsigned
    with pytest.raises(ValueError, match="BITCORP_UNSIGNED_COMMANDS"):
        Settings(single_node=False, unsigned_commands=True)


def test_what_was_read_ahead_is_judged_by_what_came_between(desk: Desk) -> None:
    dismissed = as_root(on_process("dismiss-process", "api", {"process_id": "api", "reason": "replaced"}))
    orders = [dismissed, as_api(rename(FIRM, "m-1", "Digger"))]
    records = [record_of(order)._replace(offset=desk.head.applied + n) for n, order in enumerate(orders, 1)]
    draft = Draft(desk.place, desk.head, desk.state.get)
    draft.read_ahead(records)
    for record in records:
        draft.take(record)
    assert draft.commit().tally["dead-letter", "unauthenticated"] == 1
