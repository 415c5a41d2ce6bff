"""Holds a log against the schema of SARIF, and counts its results."""

import json
import sys

from jsonschema import Draft7Validator

schema, log, results = sys.argv[1:]
with open(schema, encoding="utf-8") as file:
    validator = Draft7Validator(json.load(file), format_checker=Draft7Validator.FORMAT_CHECKER)
with open(log, encoding="utf-8") as file:
    log = json.load(file)
errors = [error.message for error in validator.iter_errors(log)]
assert not errors, errors
assert len(log["runs"][0]["results"]) == int(results), log["runs"][0]["results"]
