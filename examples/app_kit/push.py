"""Web Push: the service worker that shows Bellcast's push messages under the site's own origin."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PATH = "/push-worker.js"


def worker(bellcast_url: str) -> Route:
    """Return the route of the worker, which imports Bellcast's. `static/push.js` registers it."""

    async def serve(request: Request) -> Response:
        script = f"importScripts('{bellcast_url}/bellcast-push.js');\n"
        return Response(script, media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    return Route(PATH, serve)
