"""Puts back what schemathesis changes of the user as whom it calls the API."""

import os

import requests
import schemathesis

SITE, USERNAME, PASSWORD = (os.environ[name] for name in ("SITE", "USERNAME", "PASSWORD"))


def post(path, body, cookie=""):
    answer = requests.post(SITE + path, json=body, headers={"Cookie": cookie}, timeout=20)
    answer.raise_for_status()


@schemathesis.hook
def after_call(context, case, response):
    if response.status_code != 204:
        return
    if case.operation.label == "DELETE /api/account":
        post("/api/auth/register", {"username": USERNAME, "password": PASSWORD})
    elif case.operation.label == "POST /api/account/password":
        back = {"currentPassword": case.body["newPassword"], "newPassword": PASSWORD}
        # The session has a new token.
        post("/api/account/password", back, response.headers["set-cookie"][0].split(";")[0])
