"""Reads feeds as curl saved them and checks every event against docs/feed.schema.json with jsonschema.

    python schema.py SCHEMA FILE... --expects EVENT,EVENT

Strict in what the schema leaves open: a member that it does not name is a difference. Every event that is expected has
to be there. Exits with 1 and says what differs when anything does.
"""

import argparse
import collections
import copy
import json
import pathlib
import sys

import jsonschema


def events(path):
    """The events of a stream, whole ones only: the last may be cut where curl stopped reading."""
    *blocks, _ = path.read_text(encoding="utf-8").split("\n\n")
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "data" in fields:
            yield {"id": fields["id"], "event": fields["event"], "data": json.loads(fields["data"])}


def closed(schema):
    """The same schema, of which every object has only the members that it names."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: closed(part) for name, part in schema.items()}
    # What is put together with a $ref is closed where it points to.
    if schema.get("type") == "object" and len(schema.get("properties", {})) > 1:
        schema.setdefault("additionalProperties", False)
    return schema


def unheeded(validator, event):
    """A member of this event's data that the schema takes as anything, if there is one: what it says of it says nothing."""
    for name in list(event["data"]):
        spoilt = copy.deepcopy(event)
        spoilt["data"][name] = {"spoilt": True}
        if validator.is_valid(spoilt):
            return name
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("schema", type=pathlib.Path)
    parser.add_argument("files", type=pathlib.Path, nargs="+")
    parser.add_argument("--expects", default="", help="events, with commas")
    options = parser.parse_args()
    schema = json.loads(options.schema.read_text(encoding="utf-8"))
    validator_of = jsonschema.validators.validator_for(schema)
    validator_of.check_schema(schema)
    # `time` has a pattern, so that no further package is needed to check the format.
    validator = validator_of(closed(schema))
    seen = collections.Counter()
    for path in options.files:
        for event in events(path):
            problem = jsonschema.exceptions.best_match(validator.iter_errors(event))
            if problem:
                sys.exit(f"{path.name}: {problem.json_path}: {problem.message} in {json.dumps(event)}")
            seen[event["event"]] += 1
            if unnoticed := unheeded(validator, event):
                sys.exit(f"{event['event']}: the schema takes anything as {unnoticed}")
    missing = set(filter(None, options.expects.split(","))) - set(seen)
    if missing:
        sys.exit(f"no event {', '.join(sorted(missing))} in the feeds, only {dict(seen)}")
    print("valid by the schema: " + ", ".join(f"{count} {name}" for name, count in sorted(seen.items())))


if __name__ == "__main__":
    main()
