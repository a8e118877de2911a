"""How requests come to operations, and what a body must be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from bedside.serving import Service
from bedside.serving.http import create_app
from bedside.serving.routes import Route


@asynccontextmanager
async def asking(root) -> Iterator[httpx.AsyncClient]:
    service = Service(root)
    place = "http://127.0.0.1/v1/collections/guidelines"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(service)), base_url=place) as client:
        yield client
    service.close()


def test_an_operation_that_takes_what_no_request_is_asked_for_stops_the_start():
    app = FastAPI()
    app.router.route_class = Route
    with pytest.raises(TypeError, match="limit"):

        @app.get("/notes")
        async def notes(limit: int) -> int:
            return limit


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"])
async def test_a_body_that_is_said_to_be_json_is_read(root, kind):
    async with asking(root) as client:
        answer = await client.post("/count", content=b'{"filter": {"section": "ACS"}}', headers={"content-type": kind})
    assert answer.json() == {"count": 1}


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_that_is_not_said_to_be_json_is_refused_whatever_it_holds(root, kind):
    async with asking(root) as client:
        answer = await client.post("/delete", content=b'{"filter": {}}', headers={"content-type": kind})
        assert answer.status_code == 422
        assert "Content-Type: application/json" in answer.json()["detail"]
        left = await client.post("/count", json={})
    assert left.json() == {"count": 2}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 422, "body: Field required"),
        (b'{"ids": [1, "a"]}', 422, "body.ids.0: Input should be a valid string"),
        (b'{"idz": []}', 422, "body.idz: Extra inputs are not permitted"),
        (b'{"ids": }', 422, "body.8: JSON decode error"),
        (b'{"ids": ["\xff"]}', 400, "There was an error parsing the body"),
    ],
)
async def test_what_is_wrong_with_a_body_is_named_with_its_place(root, body, status, said):
    async with asking(root) as client:
        answer = await client.post("/get", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (status, said)
