"""The stories of examples, each in the file story.py of its folder."""

import importlib.util
from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).resolve().parent.parent


def story(name: str) -> ModuleType:
    """Loads the story of an example: `run(stage, …)`, whose further parameters are its options."""
    file = EXAMPLES / name / "story.py"
    specification = importlib.util.spec_from_file_location(f"story_{name.replace('-', '_')}", file)
    assert specification and specification.loader, file
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
