"""Whoever schemathesis asks as: an admin by an API key, and by another one when it has ended a key or the account itself."""

import os
import subprocess

import requests
import schemathesis

URL = os.environ["TERTULIA_URL"]
PROGRAM = os.environ["TERTULIA_BIN"]
DATA = os.environ["TERTULIA_DATA_DIR"]


def accounts(*words):
    command = [PROGRAM, "accounts", *words, f"--data-dir={DATA}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


# Looked at each second: what is tried meanwhile tells how it is to be nobody.
@schemathesis.auth(refresh_interval=1)
class Admin:
    token = None

    def get(self, case, context):
        mine = requests.get(f"{URL}/api/v1/accounts/me", headers={"Authorization": f"Bearer {self.token}"}, timeout=10)
        if mine.status_code != 200:
            accounts("enable", "Root")
            self.token = accounts("key", "Root")
        return self.token

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"
