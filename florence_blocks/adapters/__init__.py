"""Florence blocks inside other runtimes: `roboflow`, `comfyui`, `haystack` and `ray`; each needs the runtime it is for."""
