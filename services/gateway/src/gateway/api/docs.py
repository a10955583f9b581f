"""Pages that show the API's description; they run their own scripts and no others."""

from __future__ import annotations

import base64
import hashlib
import re

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)
TITLE = "Limelight API"
STATIC = "/static-offline-docs"
_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


@router.get("/docs")
async def swagger(request: Request) -> HTMLResponse:
    """Try the API out."""
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        openapi_url=f"{root}{request.app.openapi_url}",
        title=TITLE,
        swagger_js_url=f"{root}{STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{root}{STATIC}/favicon.png",
    )
    return _closed(page)


@router.get("/redoc")
async def redoc(request: Request) -> HTMLResponse:
    """Read the API's description."""
    root = request.scope.get("root_path", "")
    page = get_redoc_html(
        openapi_url=f"{root}{request.app.openapi_url}",
        title=TITLE,
        redoc_js_url=f"{root}{STATIC}/redoc.standalone.js",
        redoc_favicon_url=f"{root}{STATIC}/favicon.png",
        with_google_fonts=False,
    )
    return _closed(page)


def _closed(page: HTMLResponse) -> HTMLResponse:
    """The page with a policy that knows its inline scripts by their hashes."""
    scripts = _INLINE.findall(bytes(page.body))
    hashes = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts]
    allowed = " ".join(["'self'", *(f"'sha256-{value}'" for value in hashes)])
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src {allowed}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; worker-src blob:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    return page
