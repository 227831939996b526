"""The command line: `workflow run | check | blocks | schema`.

Exit codes: 0 all went well; 1 some element failed; 2 the definition or the arguments are wrong; 130 interrupted.
"""

from workflow_engine.cli.app import main

__all__ = ["main"]
