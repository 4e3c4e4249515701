"""The endpoints of the live bells: the token of each, and the action that rings it."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .tiles import TILES, Tile
from .visitors import Visitor


class Bells:
    """The bells of the apps, whose URLs are given by name. Their owners and the people who ring them are signed in to the apps."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.tiles = {tile.slug: tile for tile in TILES if tile.name in urls}
        self._owners = {
            slug: Visitor(urls[tile.name], tile.owner, has_forms=tile.has_forms) for slug, tile in self.tiles.items()
        }
        self._actors = {
            slug: Visitor(urls[tile.name], tile.actor, has_forms=tile.has_forms) for slug, tile in self.tiles.items()
        }

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/api/apps/{app}/token", self.token),
            Route("/api/apps/{app}/ring", self.ring, methods=["POST"]),
        ]

    async def token(self, request: Request) -> Response:
        """Return the token that the app gives to the owner of its bell."""
        tile = self._tile(request)
        given = await self._owners[tile.slug].get(tile.token_path)
        return JSONResponse({"token": given["token"]}, headers={"Cache-Control": "no-store"})

    async def ring(self, request: Request) -> Response:
        """Cause the event in the app."""
        refuse_other_sites(request)
        tile = self._tile(request)
        await tile.ring(self._actors[tile.slug])
        return Response(status_code=204)

    async def close(self) -> None:
        for visitor in (*self._owners.values(), *self._actors.values()):
            await visitor.close()

    def _tile(self, request: Request) -> Tile:
        tile = self.tiles.get(request.path_params["app"])
        if tile is None:
            raise HTTPException(404, "No app has this name.")
        return tile


def refuse_other_sites(request: Request) -> None:
    """Raise an HTTPException if a page of another site sent the request."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "This page belongs to another site.")
