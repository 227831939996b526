"""The component inside real Haystack pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest

from florence_blocks import Florence2
from florence_blocks.demo import draw_scene

haystack = pytest.importorskip("haystack", reason="haystack-ai is not installed")

SCENES = [draw_scene(seed, width=320, height=320, shapes=3, words=1) for seed in (41, 42, 43)]
IMAGES = [scene.image for scene in SCENES]


def component(*given: Any, **fields: Any) -> Any:
    from florence_blocks.adapters.haystack import AskFlorence

    return AskFlorence(*given, **fields)


def test_all_that_haystack_has_for_images_is_read(tmp_path: Path) -> None:
    from haystack.dataclasses import ByteStream, ImageContent

    path = tmp_path / "scene.png"
    cv2.imwrite(str(path), IMAGES[0])
    stream = ByteStream.from_file_path(path, mime_type="image/png")
    images = [IMAGES[0], path, str(path), stream, ImageContent.from_file_path(path)]
    given = component().run(images=images)
    assert given["texts"] == [Florence2.from_pretrained("florence-2-demo").caption_image(IMAGES[0])] * 5
    assert all(answer["caption"] == text for answer, text in zip(given["answers"], given["texts"], strict=True))


def test_a_pipeline_goes_to_its_file_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from haystack.components.builders import PromptBuilder

    monkeypatch.setenv("HAYSTACK_DESERIALIZATION_ALLOWLIST", "florence_blocks.adapters.haystack")
    pipeline = haystack.Pipeline()
    pipeline.add_component("read", component(task="ocr", fields={"num_beams": 1}))
    pipeline.add_component("prompt", PromptBuilder("{% for text in texts %}[{{ text }}]{% endfor %}", required_variables="*"))
    pipeline.connect("read.texts", "prompt.texts")
    again = haystack.Pipeline.loads(pipeline.dumps())
    words = "".join(f"[{scene.words[0].text}]" for scene in SCENES)
    assert again.run({"read": {"images": IMAGES}})["prompt"]["prompt"] == words


def test_detections_are_json_and_a_line_each() -> None:
    given = component("object_detection").run(images=IMAGES)
    for text, answer in zip(given["texts"], given["answers"], strict=True):
        found = answer["predictions"]["predictions"]
        assert text == "\n".join(one["class"] for one in found)
        assert all(isinstance(one["x"], float) for one in found)
    said = component("region_caption", {"regions": [[5.0, 5.0, 200.0, 200.0]]}).run(images=IMAGES)
    assert [[text] for text in said["texts"]] == [answer["texts"] for answer in said["answers"]]
    assert component("object_detection").run(images=[]) == {"texts": [], "answers": []}


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(ValueError, match="task='read'; caption"):
        component("read")
    with pytest.raises(ValueError, match="granularity"):
        component(fields={"granularity": "long"})
    with pytest.raises(ValueError, match="is not an image"):
        component().run(images=[3])
    with pytest.raises(ValueError, match="no column 'words'"):
        component("phrase_grounding", {"phrase": "$inputs.words"}).run(images=IMAGES)
