"""JSON answers."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from api.door import JSON


def answered(status: int, plain: Mapping[str, Any], headers: Mapping[str, str]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(plain), content_type=JSON, headers=headers)
