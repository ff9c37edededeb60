"""Imported assets: each has the record imported last, and what an import brought goes with it."""

from domain.asset import AssetState
from tests.domain.acme import ACME
from tests.domain.test_asset import imported, record, undone
from tests.views.conftest import World
from views.assets import ASSETS, AssetItem


async def asset(world: World) -> AssetItem | None:
    return await world.see(ASSETS, asset_id="legacy.4711")


async def test_an_asset_has_the_record_imported_last(world: World) -> None:
    entries = await world.tell(*ACME, imported(), imported(run="summer", name="Big", state=AssetState.RETIRED))
    await world.again(entries)
    found = await asset(world)
    assert found is not None
    assert (found.name, found.state, found.version) == ("Big", AssetState.RETIRED, 2)
    assert (found.source, found.number, found.serial_number) == ("legacy", "4711", "EQ-2019-EX-004711")
    assert (found.brought_by, found.import_id) == ("spring", "summer")


async def test_what_an_import_brought_is_gone_when_it_is_undone(world: World) -> None:
    entries = await world.tell(*ACME, imported(), undone())
    await world.again(entries)
    assert await asset(world) is None
    await world.tell(imported(run="summer"))
    assert (await asset(world)) is not None


async def test_what_an_import_changed_stays_when_it_is_undone(world: World) -> None:
    entries = await world.tell(*ACME, imported(), imported(run="summer", name="Big"), undone("summer", record=record()))
    await world.again(entries)
    found = await asset(world)
    assert found is not None
    assert (found.name, found.brought_by, found.import_id, found.version) == ("Loader", "spring", None, 3)


async def test_assets_are_found_by_import_source_and_state(world: World) -> None:
    await world.tell(*ACME, imported(), imported("4712", run="summer", state=AssetState.RETIRED))
    for query in ({"import_id": "summer"}, {"state": "RETIRED"}):
        assert [found.number for found in (await world.list(ASSETS, **query)).items] == ["4712"]
    assert len((await world.list(ASSETS, source="legacy", sort="-imported_at")).items) == 2
