"""An unchanged python-socketio client: it greets, and prints what comes. What else differs comes as JSON; `user` is counted by that name.

hola.py sync|asyncio URL '{"socketio_path": …, "namespaces": …, "transports": …}'
"""

import asyncio
import json
import os
import sys

import socketio

kind, url, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
namespace = options.get("namespaces", ["/"])[0]
user = options.pop("user", None)


# Soon, but never before the client is done with the connection before: by its own dice a short delay may be none at all.
SOON = {"reconnection_delay": 0.1, "reconnection_delay_max": 0.5, "randomization_factor": 0}


def show(*words):
    os.write(1, f"{json.dumps(words)}\n".encode())  # whole: threads write here


def sync():
    client = socketio.Client(**SOON, **options.pop("client", {}))

    def connect():
        show("connected", client.transport())
        client.send("Hola desde el cliente", namespace=namespace)
        if user:
            client.emit("add user", user, namespace=namespace)

    client.on("connect", connect, namespace)
    client.on("login", lambda count: show("login", count), namespace)
    client.on("message", lambda data: show("message", data), namespace)
    client.on("my-name-is", lambda node: show("node", node), namespace)
    client.on("disconnect", lambda reason: show("disconnected", reason), namespace)
    client.connect(url, **options)
    client.wait()


async def with_asyncio():
    client = socketio.AsyncClient(**SOON, **options.pop("client", {}))

    async def connect():
        show("connected", client.transport())
        await client.send("Hola desde el cliente", namespace=namespace)
        if user:
            await client.emit("add user", user, namespace=namespace)

    async def login(count):
        show("login", count)

    async def message(data):
        show("message", data)

    async def node(name):
        show("node", name)

    async def disconnect(reason):
        show("disconnected", reason)

    for name, heard in {"connect": connect, "message": message, "login": login, "my-name-is": node, "disconnect": disconnect}.items():
        client.on(name, heard, namespace)
    await client.connect(url, **options)
    await client.wait()


sync() if kind == "sync" else asyncio.run(with_asyncio())
