"""The pages for people: a search page at ``/`` and Swagger UI at ``/docs``. Neither loads anything from elsewhere.

They hold no data and need no token; what they ask for does, and a token is typed into them, never part of an address.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from importlib import resources
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse, HTMLResponse

from bedside.formats.web.bundle import assemble

_SWAGGER = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
PATHS = frozenset({"/", "/docs", *(f"/docs/{file}" for file in _SWAGGER)})
"""Where they are."""
_NOTHING_ELSE = "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_START = 'SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger", validatorUrl: null });'
_DOCS = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Bedside: API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>{_START}</script>
</body>
</html>
"""


def add_pages(app: FastAPI) -> None:
    """Add the pages, which are no part of the schema."""

    @app.get("/", include_in_schema=False)
    def search_page() -> Response:
        return _search_page()

    @app.get("/docs", include_in_schema=False)
    def docs() -> Response:
        digest = b64encode(hashlib.sha256(_START.encode()).digest()).decode()
        return _page(_DOCS, f"script-src 'self' 'sha256-{digest}'; style-src 'self'; img-src 'self' data:")

    @app.get("/docs/{file}", include_in_schema=False)
    def swagger(file: str) -> Response:
        if file not in _SWAGGER:
            return Response(status_code=404)
        folder = Path(str(resources.files("fastapi_swagger").joinpath("resources")))
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
        return FileResponse(folder / file, media_type=_SWAGGER[file], headers=headers)


@cache
def _search_page() -> Response:
    page, hashes = assemble("served.html", "served-page.js")
    allowed = f"script-src '{hashes['SCRIPT']}'; style-src '{hashes['STYLE']}'; img-src data:"
    return _page(page, f"{allowed}; require-trusted-types-for 'script'; trusted-types 'none'")


def _page(content: str, allowed: str) -> Response:
    headers = {
        "Content-Security-Policy": f"{_NOTHING_ELSE}; {allowed}",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    return HTMLResponse(content, headers=headers)
