"""The description of the HTTP API, as an OpenAPI 3.1 document, served at `/openapi.json`.

A test checks that it has exactly the routes and methods of the app, and sends each request that it describes.
The reference for the WebSocket is docs/protocol.md.
"""

from __future__ import annotations

from typing import Any

JSON, HTML = "application/json", "text/html"


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


STRING = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
REFUSAL = _object(code=STRING, message=STRING)
PLAIN = {JSON: {"schema": REFUSAL}, HTML: {"schema": STRING}}
REFUSED = {"default": {"description": "Refused, as JSON or as a small page.", "content": PLAIN}}


def _answers(described: dict[int, tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    answers = {
        str(status): {"description": description, "content": content}
        for status, (description, content) in described.items()
    }
    return {"responses": answers | REFUSED}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {JSON: {"schema": schema}}


NEW_GUEST = _object(token=STRING, user=_object(id={"type": "string", "format": "uuid"}, name=STRING))
FILE: dict[str, Any] = {"*/*": {"schema": {}}}
FILENAME = {"name": "filename", "in": "path", "required": True, "schema": STRING}
DIGEST = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
BUILD = {"name": "build", "in": "path", "required": True, "schema": DIGEST}
ENCODING = {"name": "Accept-Encoding", "in": "header", "required": False, "schema": STRING}
RANGE = {"name": "Range", "in": "header", "required": False, "schema": STRING}

DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "studymatch",
        "version": "1",
        "description": "The page, guests, people's count, health. The WebSocket at /ws: docs/protocol.md.",
    },
    "paths": {
        "/": {
            "get": {"summary": "The page", "parameters": [ENCODING]}
            | _answers({200: ("The page", {HTML: {"schema": STRING}})})
        },
        "/api/guest": {
            "post": {
                "summary": "A new guest, and the token that a WebSocket begins with",
                "requestBody": {"required": True, "content": _json(_object(name=STRING))},
            }
            | _answers(
                {
                    201: ("The guest", _json(NEW_GUEST)),
                    400: ("No name can be read, or it is none", _json(REFUSAL)),
                    413: ("The body is too large", _json(REFUSAL)),
                    429: ("Too many guests at once", _json(REFUSAL)),
                }
            )
        },
        "/api/presence": {
            "get": {"summary": "How many people are here, and how many of them search"}
            | _answers({200: ("Now", _json(_object(online=COUNT, searching=COUNT)))})
        },
        "/healthz": {
            "get": {"summary": "Whether the process lives"}
            | _answers({200: ("It does", _json(_object(status={"const": "alive"})))})
        },
        "/readyz": {
            "get": {"summary": "Whether people can be matched and sessions recorded"}
            | _answers(
                {
                    200: ("They can", _json(_object(status={"const": "ready"}))),
                    503: ("They cannot, and why", _json(_object(status=STRING, reason=STRING))),
                }
            )
        },
        "/openapi.json": {
            "get": {"summary": "This document"} | _answers({200: ("It", _json({"type": "object"}))})
        },
        "/s/{build}/{filename}": {
            "get": {
                "summary": "A file of the page. Its path names its content, so it may be kept for ever",
                "parameters": [BUILD, FILENAME, RANGE, ENCODING],
            }
            | _answers(
                {
                    200: ("The file", FILE),
                    206: ("The part that was asked for", FILE),
                    304: ("It has not changed", {}),
                    404: ("There is none, or the page is of another build now", PLAIN),
                    416: ("There is no such part", PLAIN),
                }
            )
        },
        "/ws": {
            "get": {"summary": "The WebSocket: see docs/protocol.md"}
            | _answers({400: ("This was no handshake", PLAIN), 403: ("The page is from elsewhere", PLAIN)})
        },
    },
}
"""The OpenAPI document."""
