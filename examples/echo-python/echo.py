"""A bot that says back whatever begins with "echo", once each, whatever is restarted in between.

TERTULIA_KEY=tk_… python echo.py general [http://127.0.0.1:8080]
"""

import asyncio
import os
import sys
import uuid

import aiohttp

room = sys.argv[1]
url = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8080"
signed_in = {"Authorization": f"Bearer {os.environ['TERTULIA_KEY']}"}


class Bot:
    def __init__(self):
        self.place = {}  # up to where it has heard: {"after": …, "epoch": …}
        self.owed = {}  # answers not acknowledged yet: id -> text

    async def live(self, socket):
        """One connection, to its end."""
        self.me = None
        async for frame in socket:
            await self.on(frame.json(), socket)

    async def on(self, frame, socket):
        match frame["type"]:
            case "welcome":
                self.me = frame["user"]["id"]
                await self.join(socket)
                for id in list(self.owed):
                    await self.send(socket, id)
            case "joined":
                for message in frame["messages"]:
                    await self.answer(message, socket)
                self.place = {"after": frame["head"], "epoch": frame["epoch"]}
                if frame["more"]:
                    await self.join(socket)
                else:
                    print("listening", flush=True)
            case "message":
                await self.answer(frame, socket)
                self.place["after"] = frame["rev"]
            case "ack":
                self.owed.pop(frame["id"], None)
            case "error" if "id" in frame:
                if "retry_after_ms" in frame:
                    await asyncio.sleep(frame["retry_after_ms"] / 1000)
                    await self.send(socket, frame["id"])
                else:
                    self.owed.pop(frame["id"], None)
            case "error" | "bye":
                print(frame, file=sys.stderr, flush=True)
                if frame.get("code", frame.get("reason")) == "unauthorized":
                    sys.exit("the key is not good here")

    async def join(self, socket):
        await socket.send_json({"type": "join", "room": room, **self.place})

    async def answer(self, message, socket):
        is_new = message["rev"] == message["seq"]
        if is_new and message["from"]["id"] != self.me and message["text"].startswith("echo "):
            # Made from the id of what it answers: made again, it is the same message.
            id = str(uuid.UUID(int=uuid.UUID(message["id"]).int ^ 1))
            self.owed[id] = message["text"].removeprefix("echo ")
            await self.send(socket, id)

    async def send(self, socket, id):
        if id in self.owed:
            await socket.send_json({"type": "send", "room": room, "id": id, "text": self.owed[id]})


async def main():
    bot = Bot()
    async with aiohttp.ClientSession(headers=signed_in) as session:
        while True:
            try:
                async with session.ws_connect(f"{url}/ws", heartbeat=20) as socket:
                    await bot.live(socket)
            except aiohttp.WSServerHandshakeError as refused:
                if refused.status == 401:
                    sys.exit("the key is not good here")
            except aiohttp.ClientError:
                pass  # away: try again
            await asyncio.sleep(1)


asyncio.run(main())
