"""What the business says: pure rules over events. The realms listed here are all there is; the rest is computed."""

from domain.asset import asset, counted_numbers
from domain.category import category
from domain.company import company
from domain.credential import credential
from domain.equipment import equipment
from domain.key import key
from domain.letter import letter
from domain.part import part
from domain.plan import plan
from domain.platform import platform
from domain.realm import Realm
from domain.role import role, staff
from domain.user import user

#: The permission to read who did what.
AUDIT_READ = "audit.read"

BUSINESS = Realm(
    "business",
    (company, user, role, key, category, equipment, part, plan, asset, letter, platform),
    kept=(staff, counted_numbers),
    reads=frozenset({AUDIT_READ}),
)
CREDENTIALS = Realm("credentials", (credential, platform), secret=True)

#: Realm name -> realm.
REALMS: dict[str, Realm] = {realm.name: realm for realm in (BUSINESS, CREDENTIALS)}

#: What the business consists of, under names of its own: see `Realm`.
DECIDERS = BUSINESS.deciders
BY_NAME = BUSINESS.by_name
RULES = BUSINESS.rules
HOMES = BUSINESS.homes
EVENTS = BUSINESS.events
ROSTERS = BUSINESS.rosters
FED = BUSINESS.fed
PERMISSIONS = BUSINESS.permissions

#: Those of its rules whose commands are offered to senders: all but the platform's own, which the root key alone sends.
OFFERED = {type_: rule for type_, rule in RULES.items() if rule.decider.path}
