"""What the schema says of registries: reads [[verdict, registry], ...], exits with 1 where it says another thing.

tests/schema.rs gives it what the parser said.
"""

import json
import sys

try:
    from jsonschema import Draft202012Validator
except ImportError:
    sys.exit("tests/schema.py: jsonschema is missing: tests/run installs it")


def no_json(name):
    raise ValueError(f"{name} is no JSON")


def main(path):
    with open(path) as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    faults = 0
    for verdict, text in json.load(sys.stdin):
        try:
            takes = validator.is_valid(json.loads(text, parse_constant=no_json))
        except ValueError:
            takes = False
        # What the schema cannot tell, it takes; where it does not any more, the table says too little of it.
        if takes != (verdict in ("taken", "parser only")):
            print(f"tests/schema.py: {verdict}, but the schema {'takes' if takes else 'refuses'} {text[:200]}")
            faults += 1
    sys.exit(faults > 0)


main(sys.argv[1])
