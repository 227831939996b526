"""The Florence class of the best-known runtime in a process of its own: one request at a time, as its workflow block does.

Started by `florence.py --peer-python PYTHON` in an environment that has `inference-models`. Speaks JSON lines:
`{"folder", "threads", "device", "dtype"}` loads,
`{"requests"}` answers; a request is the path of an .npy file, task, prompt, limit and beams.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print must not mix with the answers
    import numpy as np
    import torch
    from inference_models.models.florence2.florence2_hf import Florence2HF
    from transformers import Florence2ForConditionalGeneration, Florence2Processor

    model: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        if "folder" in request:
            torch.set_num_threads(request["threads"])
            device, dtype = torch.device(request["device"]), getattr(torch, request["dtype"])
            native = Florence2ForConditionalGeneration.from_pretrained(request["folder"], dtype=dtype).to(device)
            processor = Florence2Processor.from_pretrained(request["folder"])
            model = Florence2HF(model=native.eval(), processor=processor, inference_config=None, device=device,
                                torch_dtype=dtype)  # fmt: skip
            images: dict[str, Any] = {}
            answer: Any = "loaded"
        else:
            answer = []
            for path, task, prompt, limit, beams in request["requests"]:
                if path not in images:
                    images[path] = np.load(path)
                limits = {"max_new_tokens": limit} if limit else {}
                try:
                    found = model.prompt(images=images[path], prompt=prompt, task=task, num_beams=beams, **limits)
                    answer.append(str(found[0]))
                except Exception as error:  # its own parser fails on some answers; the time is spent all the same
                    answer.append(f"error: {type(error).__name__}: {error}")
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
