"""Reads the dashboard as Grafana's own schema (grafana-foundation-sdk) and says what that does not know or has changed.

    python3 tests/monitoring/dashboard.py conf/grafana-dashboard.json
"""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(given, kept, path=""):
    """Every place of `given` that is missing or other in `kept`."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key in kept:
                yield from lost(value, kept[key], f"{path}/{key}")
            else:
                yield f"{path}/{key}: not in the schema"
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for place, (one, other) in enumerate(zip(given, kept)):
            yield from lost(one, other, f"{path}/{place}")
    elif given != kept:
        yield f"{path}: {given!r} is read as {kept!r}"


def through_the_schema(given):
    """The dashboard as the SDK reads it and writes it again."""
    return json.loads(JSONEncoder().encode(Dashboard.from_json(given)))


def main():
    register_default_plugins()
    with open(sys.argv[1], encoding="utf-8") as file:
        given = json.load(file)
    found = list(lost(given, through_the_schema(given)))
    # The comparison itself: a misspelt option of a panel, and a misspelt key, are seen.
    panel = next(panel for panel in given["panels"] if panel["type"] == "timeseries")
    panel["options"]["legendd"], panel["titel"] = {}, "x"
    seen = "\n".join(lost(given, through_the_schema(given)))
    if "legendd" not in seen or "titel" not in seen:
        found.append("a misspelt key is not noticed: the comparison sees nothing")
    print("\n".join(found) or f"  {len(given['panels'])} panels are what Grafana's schema says")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
