"""A plain process that enqueues: one request a line, as JSON, and one answer a line."""

import json
import os
import sys


def main() -> None:
    """Answer until the other side closes."""
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        import django

        django.setup()
    from .calls import answer

    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
