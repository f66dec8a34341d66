"""An unchanged python-socketio client: it greets, and prints what comes. What else differs comes as JSON.

hola.py sync|asyncio URL '{"socketio_path": …, "namespaces": …, "transports": …}'
"""

import asyncio
import json
import sys

import socketio

kind, url, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
namespace = options.get("namespaces", ["/"])[0]


def show(*words):
    print(json.dumps(words), flush=True)


def sync():
    client = socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.5, **options.pop("client", {}))
    client.on("connect", lambda: (show("connected", client.transport()), client.send("Hola desde el cliente", namespace=namespace)), namespace)
    client.on("message", lambda data: show("message", data), namespace)
    client.on("disconnect", lambda reason: show("disconnected", reason), namespace)
    client.connect(url, **options)
    client.wait()


async def with_asyncio():
    client = socketio.AsyncClient(reconnection_delay=0.1, reconnection_delay_max=0.5, **options.pop("client", {}))

    async def connect():
        show("connected", client.transport())
        await client.send("Hola desde el cliente", namespace=namespace)

    async def message(data):
        show("message", data)

    async def disconnect(reason):
        show("disconnected", reason)

    for name, heard in {"connect": connect, "message": message, "disconnect": disconnect}.items():
        client.on(name, heard, namespace)
    await client.connect(url, **options)
    await client.wait()


sync() if kind == "sync" else asyncio.run(with_asyncio())
