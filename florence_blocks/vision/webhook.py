"""Values to a web server, where whoever runs the workflow allows it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field

from florence_blocks.vision.fields import Seconds
from florence_blocks.vision.json_texts import spoken
from florence_blocks.vision.operations import Chain, each_operated
from workflow_engine.block import Accepts, Block, BlockManifest, Output, Value
from workflow_engine.bounds import Bounded
from workflow_engine.current import current_run
from workflow_engine.errors import listing
from workflow_engine.kinds import ANY, BOOLEAN, STRING
from workflow_engine.lazy import LazyModule
from workflow_engine.plain import dumps

requests: Any = LazyModule("requests")

_log = logging.getLogger(__name__)

Values = dict[str, Annotated[Value[Any], Accepts(ANY)]]
Operations = dict[str, Chain]

_Patience = Annotated[float, Field(gt=0), Bounded(3_600.0, "nobody waits as long")]


class WebhookSink(Block):
    """Send values to a web server, as a query, as JSON, or as fields and files of a form.

    Requests go only to addresses that the run allows: `workflow run --allow-webhook URL`, `run(allow_webhooks=[URL])`; the same
    scheme, host and port, and a path below the given one. Redirects are not followed. Requests that come sooner after the last
    one than the cooldown are left out, with `throttling_status`.

    `{"type": "vision/webhook_sink@v1", "name": "tell", "url": "https://example.com/hook", "method": "POST",
    "json_payload": {"shapes": "$steps.detect.predictions"}}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/webhook_sink@v1", "roboflow_core/webhook_sink@v1"]
        url: Value[str] = Field(description="the address")
        method: Literal["GET", "POST", "PUT"]
        query_parameters: Values = Field(default_factory=dict, description="what stands behind the `?` of the address")
        headers: Values = Field(default_factory=dict, description="headers of the request")
        json_payload: Values = Field(default_factory=dict, description="the body as JSON: values by name")
        json_payload_operations: Operations = Field(default_factory=dict, description="operations on them, by name")
        multi_part_encoded_files: Values = Field(default_factory=dict, description="files of a form: their contents by name")
        multi_part_encoded_files_operations: Operations = Field(default_factory=dict, description="operations on them, by name")
        form_data: Values = Field(default_factory=dict, description="fields of a form by name")
        form_data_operations: Operations = Field(default_factory=dict, description="operations on them, by name")
        request_timeout: Value[_Patience] = Field(2, description="seconds to wait for an answer")
        fire_and_forget: Value[bool] = Field(True, description="go on without waiting for the answer")
        disable_sink: Value[bool] = Field(False, description="send nothing")
        cooldown_seconds: Value[Seconds] = Field(5, description="least seconds between two requests")

    outputs = {"error_status": Output(BOOLEAN), "throttling_status": Output(BOOLEAN), "message": Output(STRING)}
    stateful = True

    def __init__(self) -> None:
        self._last: float | None = None

    def run(
        self, url: str, method: str, disable_sink: bool, cooldown_seconds: float, fire_and_forget: bool,
        request_timeout: float, query_parameters: dict[str, Any], headers: dict[str, Any], **bodies: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Send the values of one element."""
        if disable_sink:
            return _told("nothing is sent: `disable_sink` is on")
        _check(url)
        if self._last is not None and time.monotonic() - self._last < cooldown_seconds:
            return _told(f"nothing is sent within {cooldown_seconds:g} s of the last request", throttled=True)
        made = {name: each_operated(bodies[name], bodies[f"{name}_operations"])
                for name in ("json_payload", "multi_part_encoded_files", "form_data")}  # fmt: skip
        request = _Request(method, url, request_timeout, query_parameters, headers, **made)
        body = request.prepared()
        self._last = time.monotonic()
        if fire_and_forget:
            threading.Thread(target=request.send_and_log, args=(body,), name="webhook").start()
            return _told("sent in the background")
        problem = request.send(body)
        return _told(problem or "sent", failed=problem is not None)


@dataclass(frozen=True)
class _Request:
    """A request to be sent."""

    method: str
    url: str
    timeout: float
    query_parameters: Mapping[str, Any]
    headers: Mapping[str, Any]
    json_payload: Mapping[str, Any]
    multi_part_encoded_files: Mapping[str, Any]
    form_data: Mapping[str, Any]

    def prepared(self) -> dict[str, Any]:
        """The arguments of the request; values that cannot be sent are told before anything is."""
        headers = {name: str(value) for name, value in self.headers.items()}
        fields: dict[str, Any] = {"params": dict(self.query_parameters), "headers": headers}
        if self.json_payload:
            fields["data"] = dumps(self.json_payload, spoken).encode()
            headers.setdefault("Content-Type", "application/json")
            if self.form_data or self.multi_part_encoded_files:
                raise ValueError("a request has one body: json_payload, or form_data with multi_part_encoded_files")
        else:
            fields["data"] = {name: _text(value) for name, value in self.form_data.items()}
            fields["files"] = {name: value if isinstance(value, bytes) else _text(value)
                               for name, value in self.multi_part_encoded_files.items()}  # fmt: skip
        return fields

    def send(self, fields: Mapping[str, Any]) -> str | None:
        """Send it; what went wrong, or None."""
        try:
            answer = requests.request(self.method, self.url, timeout=self.timeout, allow_redirects=False, **fields)
        except (requests.RequestException, ValueError) as error:
            return f"{self.url} cannot be reached: {error}"
        return None if answer.status_code < 300 else f"{self.url} answered {answer.status_code} {answer.reason}"

    def send_and_log(self, fields: Mapping[str, Any]) -> None:
        """Send it; what went wrong is logged, as nobody waits for it."""
        problem = self.send(fields)
        if problem is not None:
            _log.warning("%s", problem)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value, spoken)


def _told(message: str, *, failed: bool = False, throttled: bool = False) -> dict[str, Any]:
    return {"error_status": failed, "throttling_status": throttled, "message": message}


def _check(url: str) -> None:
    """Whether the run allows an address.

    Raises:
        ValueError: it does not.
    """
    run = current_run()
    allowed = () if run is None else run.permissions.webhooks
    wanted = urlsplit(url)
    if wanted.scheme not in ("http", "https") or not wanted.hostname:
        raise ValueError(f"`{url}` is no address of a web server; one that begins with https:// would fit")
    if not allowed:
        raise ValueError("this run may not send webhooks; `allow_webhooks=[URL]` (`--allow-webhook URL`) would allow it")
    if not any(_below(unquote(wanted.path), place.path) and wanted[:2] == place[:2] for place in map(urlsplit, allowed)):
        raise ValueError(f"this run may not send webhooks to `{url}`; it may send them to {listing(allowed)}")


def _below(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it; `..` leads nowhere."""
    folder = folder.rstrip("/")
    return ".." not in path.split("/") and (path == folder or path.startswith(f"{folder}/"))
