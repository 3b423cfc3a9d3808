"""The weld cell over many seeds; `benchmarks.cells` for all cells.

python -m benchmarks.weld_seeds --seeds 0:20
"""

from __future__ import annotations

import sys

from benchmarks.cells import main

if __name__ == "__main__":
    sys.exit(main(["--cells", "weld", *sys.argv[1:]]))
