"""The vocabulary of Socket.IO's tutorial, with asyncio: every message has a number, and who returns names the last one it heard.

python chat_message.py Ana [http://127.0.0.1:8080]
"""

import asyncio
import sys
import uuid

import socketio

name = sys.argv[1]
url = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8080"
heard = 0
chat = socketio.AsyncClient()


@chat.on("chat message")
async def on_message(text, offset, who):
    global heard
    heard = offset
    print(f"{who}: {text}", flush=True)


async def say(text):
    key = str(uuid.uuid4())  # with it, however often it is sent, it is one message
    while True:
        try:
            return await chat.call("chat message", (text, key), timeout=10)
        except socketio.exceptions.SocketIOError:  # no acknowledgement, or away: say it again
            await asyncio.sleep(1)


async def main():
    # A function is asked at each return.
    await chat.connect(url, auth=lambda: {"username": name, "serverOffset": heard})
    while line := await asyncio.to_thread(sys.stdin.readline):
        await say(line.rstrip("\n"))
    await chat.disconnect()


asyncio.run(main())
