"""Values as documents, and back: tables in CSV, and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from florence_blocks.vision.fields import VersionedManifest
from florence_blocks.vision.json_texts import payloads, spoken
from florence_blocks.vision.operations import Chain, each_operated
from workflow_engine.block import Accepts, Block, BlockManifest, Output, Value
from workflow_engine.bounds import Bounded
from workflow_engine.kinds import ANY, BOOLEAN, STRING
from workflow_engine.plain import dumps


class CsvFormatter(Block):
    """Values as a table in CSV: a row per element, or per item where columns are lists (`lists`); a header first.

    Texts that spreadsheets would run as formulas are quoted. `{"type": "vision/csv_formatter@v1", "name": "table",
    "columns_data": {"word": "$steps.read.texts", "image": "$inputs.name"}}`
    """

    class Manifest(VersionedManifest):
        """The fields of the step."""

        defaults_of = {"roboflow_core/csv_formatter@v1": {"timestamp": True, "table_of": "run", "lists": "cell"}}

        type: Literal["vision/csv_formatter@v1", "roboflow_core/csv_formatter@v1"]
        columns_data: dict[str, Annotated[Value[Any], Accepts(ANY)]] = Field(description="values by column")
        columns_operations: dict[str, Chain] = Field(default_factory=dict, description="operations on values, by column")
        timestamp: bool = Field(False, description="a last column with the time, in UTC")
        table_of: Literal["element", "run"] = Field(
            "element", description="a table for every element, or one for the whole run, which the last element that fits has"
        )
        lists: Literal["rows", "cell"] = Field("rows", description="a row for every item of a list, or the list in one cell")

    outputs = {"csv_content": Output(STRING)}
    batched = True

    def run(
        self,
        columns_data: list[dict[str, Any]],
        columns_operations: list[dict[str, Chain]],
        timestamp: list[bool],
        table_of: list[str],
        lists: list[str],
    ) -> list[Any]:
        """The tables; an element whose columns do not fit each other fails."""
        tables: list[Any] = []
        for columns, operations, timed in zip(columns_data, columns_operations, timestamp, strict=True):
            try:
                tables.append(self._table(each_operated(columns, operations), timed, spread=lists[0] == "rows"))
            except ValueError as error:
                tables.append(error)
        if not tables or table_of[0] == "element":
            return tables
        whole = [place for place, table in enumerate(tables) if isinstance(table, str)]
        if whole:
            joined = tables[whole[0]] + "".join(tables[place].partition("\n")[2] for place in whole[1:])
            tables = [None if place in whole else table for place, table in enumerate(tables)]
            tables[whole[-1]] = joined
        return tables

    def _table(self, columns: dict[str, Any], timestamp: bool, *, spread: bool) -> str:
        lists = {name: list(value) for name, value in columns.items() if spread and isinstance(value, (list, tuple))}
        lengths = {len(value) for value in lists.values()}
        if len(lengths) > 1:
            told = ", ".join(f"{name} {len(value)}" for name, value in lists.items())
            raise ValueError(f"columns of different lengths: {told}")
        names = [*columns, *(["timestamp"] if timestamp else [])]
        now = datetime.now(timezone.utc).isoformat()
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        for row in range(lengths.pop() if lengths else 1):
            values = [lists[name][row] if name in lists else value for name, value in columns.items()]
            writer.writerow([_harmless(value) for value in values] + [now] * timestamp)
        return out.getvalue()


class JsonFormatter(Block):
    """Values as JSON text; detections in the form of the language.

    `{"type": "vision/json_formatter@v1", "name": "found", "data": {"shapes": "$steps.detect.predictions"}, "indent": 2}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/json_formatter@v1"]
        data: dict[str, Annotated[Value[Any], Accepts(ANY)]] = Field(description="values by name")
        data_operations: dict[str, Chain] = Field(default_factory=dict, description="operations on values, by name")
        indent: Annotated[int, Field(ge=0), Bounded(20, "nobody reads it")] | None = Field(
            None, description="spaces a level; all in a line without it"
        )

    outputs = {"json_content": Output(STRING)}

    def run(self, data: dict[str, Any], data_operations: dict[str, Chain], indent: int | None) -> str:
        """The text of one element."""
        return dumps(each_operated(data, data_operations), spoken, indent=indent)


class JsonParser(Block):
    """The fields of a JSON text, such as one that a language model wrote; those that are missing are null.

    `{"type": "vision/json_parser@v1", "name": "parsed", "raw_json": "$steps.ask.text", "expected_fields": ["colour"]}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/json_parser@v1", "roboflow_core/json_parser@v1"]
        raw_json: Value[str] = Field(description="JSON, as it is, in a Markdown block or between sentences")
        expected_fields: list[str] = Field(description="the outputs of the step, beside error_status")

        @field_validator("expected_fields")
        @classmethod
        def _names(cls, names: list[str]) -> list[str]:
            if "error_status" in names:
                raise ValueError("`error_status` is an output of the step already; another name would fit")
            return names

    outputs = {"error_status": Output(BOOLEAN)}
    light = True

    @classmethod
    def outputs_of(cls, manifest: Any) -> Mapping[str, Output]:
        """`error_status` and the expected fields."""
        return {**cls.outputs, **{name: Output() for name in manifest.expected_fields}}

    def run(self, raw_json: str, expected_fields: list[str]) -> dict[str, Any]:
        """The fields of one text; `error_status` tells whether it is no object or lacks some."""
        given = next((found for found in payloads(raw_json) if isinstance(found, dict)), None)
        missing = given is None or any(name not in given for name in expected_fields)
        return {"error_status": missing, **{name: (given or {}).get(name) for name in expected_fields}}


def _harmless(value: Any) -> Any:
    """A text that no spreadsheet runs as a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
