"""What agents can do in a workspace, one module per tool."""

from typing import Dict, Type, Union

from swe_ai_fleet.tools.file import FileTool
from swe_ai_fleet.tools.git import GitTool
from swe_ai_fleet.tools.test import TestTool

TOOLS: Dict[str, Type[Union[GitTool, FileTool, TestTool]]] = {"git": GitTool, "file": FileTool, "test": TestTool}
