"""The smallest vocabulary: what one sends, everybody gets. As a dict it says who spoke.

python message.py Ana [http://127.0.0.1:8080]
"""

import sys

import socketio

name = sys.argv[1]
url = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8080"
chat = socketio.Client()


@chat.event
def message(it):
    print(it if isinstance(it, str) else f"{it['username']}: {it['text']}", flush=True)


chat.connect(url, auth={"username": name})
for line in sys.stdin:
    chat.send({"username": name, "text": line.rstrip("\n")})
chat.disconnect()
