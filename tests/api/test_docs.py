"""The page to try the API out: complete, ours, and without a foreign request."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from api.docs import FILES, STATIC
from tests.api.callers import Api

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def test_the_files_of_swagger_ui_are_those_that_were_reviewed() -> None:
    folder = STATIC / "swagger"
    lines = [line.split() for line in (folder / "SHA256SUMS").read_text().splitlines() if not line.startswith("#")]
    for expected, name in lines:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected, name
    assert {name for _, name in lines} == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
    assert "LICENSE" in {name for _, name in lines}


def test_the_page_loads_files_of_its_own_only_and_has_no_inline_script(door: Api) -> None:
    page = door.nobody().get("/docs")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert [place for place in wanted if not place.startswith("/docs/")] == ["data:,"]
    assert not re.findall(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page.text)
    for place in wanted[:-1]:
        if place.startswith("/docs/"):
            assert door.nobody().get(place).status_code == 200


@pytest.mark.parametrize("name", FILES)
def test_its_files_come_with_their_type_and_are_not_sent_twice(door: Api, name: str) -> None:
    first = door.nobody().get(f"/docs/{name}")
    assert first.headers["Content-Type"].startswith(FILES[name][1])
    assert door.nobody().get(f"/docs/{name}", {"If-None-Match": first.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize("name", ["secret.txt", "..%2fapp.py", "..", "docs.html"])
def test_nothing_else_of_the_folder_is_served(door: Api, name: str) -> None:
    assert door.nobody().get(f"/docs/{name}").status_code == 404


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_every_operation_under_the_strict_policy(door: Api, tmp_path: Path) -> None:
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    shown = subprocess.run(
        [*command, "--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom", f"{door.url}/docs"],
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert b"Content Security Policy" not in shown.stderr
    for path in door.nobody().get("/openapi.json").json()["paths"]:
        assert f'data-path="{path}"' in shown.stdout.decode()
