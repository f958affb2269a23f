"""``python -m suanwang.cli``, which the launcher becomes."""

from suanwang.cli import main

main()
