"""The vocabulary of Socket.IO's chat examples: people are counted, and one shows one's own words oneself.

python new_message.py Ana [http://127.0.0.1:8080]
"""

import sys

import socketio

name = sys.argv[1]
url = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8080"
chat = socketio.Client()


def show(line):
    print(line, flush=True)


chat.on("connect", lambda: chat.emit("add user", name))
chat.on("login", lambda it: show(f"people: {it['numUsers']}"))
chat.on("user joined", lambda it: show(f"{it['username']} is here, people: {it['numUsers']}"))
chat.on("user left", lambda it: show(f"{it['username']} left, people: {it['numUsers']}"))
chat.on("new message", lambda it: show(f"{it['username']}: {it['message']}"))

chat.connect(url)
for line in sys.stdin:
    chat.emit("new message", line.rstrip("\n"))
    show(f"{name}: {line.rstrip()}")
chat.disconnect()
