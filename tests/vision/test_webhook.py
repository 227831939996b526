"""Webhooks, sent for real to a server on this machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import supervision as sv

from workflow_engine import StepError, compile


class Server(ThreadingHTTPServer):
    """Keeps what it was sent; answers with the status that the path names, or 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        assert isinstance(self.server, Server)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        self.server.got.append({"method": self.command, "path": parts.path, "query": parse_qs(parts.query), "body": body,
                                "headers": dict(self.headers)})  # fmt: skip
        last = parts.path.rpartition("/")[2]
        self.send_response(int(last) if last.isdigit() else 200)
        if last == "302":
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def send(url: str, allowed: list[str], values: list[Any] = ["x"], **fields: Any) -> list[dict[str, Any]]:  # noqa: B006
    definition = {
        "version": "1.0",
        "inputs": [{"type": "WorkflowBatchInput", "name": "v"}],
        "steps": [{"type": "roboflow_core/webhook_sink@v1", "name": "s", "url": url, "method": "POST", "cooldown_seconds": 0,
                   "fire_and_forget": False, "json_payload": {"v": "$inputs.v"}, **fields}],
        "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s.*"}],
    }  # fmt: skip
    rows = compile(definition).run(v=values, allow_webhooks=allowed, on_error="raise").outputs
    return [row["o"] for row in rows]


def test_values_of_every_element_arrive_as_json(server: Server) -> None:
    found = sv.Detections(np.array([[0, 0, 4, 4.0]]), confidence=np.array([0.5]), data={"class_name": np.array(["star"])})
    rows = send(f"{server.url}/hook", [server.url], [found, "ü", 3], headers={"X-Key": 7}, query_parameters={"q": "$inputs.v"},
                json_payload_operations={"v": [{"type": "ToString"}]})  # fmt: skip
    assert [row["error_status"] or row["throttling_status"] for row in rows] == [False] * 3
    assert [got["method"] for got in server.got] == ["POST"] * 3 and server.got[1]["query"] == {"q": ["ü"]}
    assert json.loads(server.got[1]["body"]) == {"v": "ü"} and server.got[0]["headers"]["X-Key"] == "7"
    send(f"{server.url}/hook", [server.url], [found])
    assert json.loads(server.got[3]["body"])["v"]["predictions"][0]["class"] == "star"


def test_forms_and_files_arrive(server: Server) -> None:
    send(f"{server.url}/form", [server.url], json_payload={}, method="PUT", form_data={"a": "b", "n": 3},
         multi_part_encoded_files={"table": "x,y\n1,2\n"})  # fmt: skip
    (got,) = server.got
    assert got["method"] == "PUT" and "multipart/form-data" in got["headers"]["Content-Type"]
    assert b"x,y\n1,2" in got["body"] and b'name="n"' in got["body"]


def test_a_server_that_says_no_is_told(server: Server) -> None:
    (row,) = send(f"{server.url}/503", [server.url])
    assert row["error_status"] and "answered 503" in row["message"]
    (row,) = send(f"{server.url}/302", [server.url])
    assert row["error_status"] and [got["path"] for got in server.got] == ["/503", "/302"]  # not followed
    address = server.url
    server.server_close()
    (row,) = send(f"{address}/hook", [address], request_timeout=0.5)
    assert row["error_status"] and "cannot be reached" in row["message"]


def test_requests_that_come_too_soon_are_left_out_and_a_sink_can_be_switched_off(server: Server) -> None:
    rows = send(f"{server.url}/hook", [server.url], ["a", "b", "c"], cooldown_seconds=60)
    assert [row["throttling_status"] for row in rows] == [False, True, True] and len(server.got) == 1
    (row,) = send(f"{server.url}/hook", [], disable_sink=True)
    assert "disable_sink" in row["message"] and len(server.got) == 1


def test_nobody_waits_for_what_is_sent_in_the_background(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    (row,) = send(f"{server.url}/hook", [server.url], fire_and_forget=True)
    assert row["message"] == "sent in the background"
    until = time.monotonic() + 10
    while not server.got and time.monotonic() < until:
        time.sleep(0.01)
    assert json.loads(server.got[0]["body"]) == {"v": "x"}
    send(f"{server.url}/500", [server.url], fire_and_forget=True)
    while not caplog.messages and time.monotonic() < until:
        time.sleep(0.01)
    assert "/500 answered 500" in caplog.messages[0]


@pytest.mark.parametrize(
    ("path", "allowed", "said"),
    [
        ("/hook", [], "may not send webhooks; `allow_webhooks"),
        ("/hook", ["{url}/other"], "may not send webhooks to"),
        ("/hooks", ["{url}/hook"], "may not send webhooks to"),
        ("/hook/../secret", ["{url}/hook"], "may not send webhooks to"),
        ("/hook/%2e%2e/secret", ["{url}/hook"], "may not send webhooks to"),
        ("/hook", ["https://127.0.0.1"], "may not send webhooks to"),
        ("@example.com/hook", ["{url}"], "may not send webhooks to"),
    ],
)
def test_nothing_is_sent_elsewhere(server: Server, path: str, allowed: list[str], said: str) -> None:
    with pytest.raises(StepError, match=said):
        send(server.url + path, [place.format(url=server.url) for place in allowed])
    assert not server.got


def test_what_cannot_be_sent_is_told(server: Server) -> None:
    with pytest.raises(StepError, match="no address of a web server"):
        send("file:///etc/passwd", [server.url])
    with pytest.raises(StepError, match="has no place in JSON"):
        send(f"{server.url}/hook", [server.url], [object()])
    with pytest.raises(StepError, match="one body"):
        send(f"{server.url}/hook", [server.url], form_data={"a": 1})
    assert not server.got
