"""What agents can do in a workspace, one module per tool."""

from swe_ai_fleet.tools.file import FileTool
from swe_ai_fleet.tools.git import GitTool
from swe_ai_fleet.tools.test import TestTool

TOOLS = {"git": GitTool, "file": FileTool, "test": TestTool}
