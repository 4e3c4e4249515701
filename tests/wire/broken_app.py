"""An app with handlers that fail."""

import bellcast

handlers = bellcast.Handlers(namespaces=["/custom"])


@handlers.on("connect")
async def connect(call):
    call.accept("mallory", roles=["admin"])
    raise RuntimeError("oops")
