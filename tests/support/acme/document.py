#!/usr/bin/env python3
"""An own check: reads what it is told, and answers with the last line of its output."""

import json
import os
import signal
import sys

asked = json.load(sys.stdin)
if sys.argv[1] == "flood":
    sys.stdout.write("x" * (10 << 20))
    sys.stderr.write("the end of it\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "environment":
    print("the token is", os.environ.get("ACME_TOKEN", "not there"))
    print(json.dumps({"detail": f"{len(os.environ)} variables", "evidence": {"names.txt": " ".join(os.environ)}}))
    sys.exit(0)
print(json.dumps({"detail": f"{asked['check']} on {asked['where']}", "measurements": {"words": len(asked)}}))
sys.exit(int(sys.argv[1]))
