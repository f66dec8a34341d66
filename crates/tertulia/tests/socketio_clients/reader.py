"""An unchanged python-socketio client: it prints how many messages it has heard, and a digest of all at the end.

reader.py URL '{"auth": ..., "transports": ...}'
"""

import asyncio
import hashlib
import json
import sys

import socketio

client = socketio.AsyncClient()
digest = hashlib.sha256()
heard = 0


def show(word):
    print(json.dumps([heard, word]), flush=True)


@client.on("chat message")
async def message(text, offset, _username):
    global heard
    heard += 1
    digest.update(f"{offset} {text}\n".encode())
    if text == "the end":
        show(digest.hexdigest())
        show(text)
    elif heard % 100 == 0 or text.startswith("while"):
        show("so far")


@client.on("disconnect")
async def disconnect(_reason):
    show("disconnected")


async def main():
    await client.connect(sys.argv[1], **json.loads(sys.argv[2]))
    await client.wait()


asyncio.run(main())
