"""The manifest of the Python test plugin; `processor.py` holds the rest. README.md says how it is built."""

from wit_world import exports
from wit_world.exports.manifest import Info

import processor  # noqa: F401  (its import is part of the snapshot that the component starts from)

SCHEMA = """{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "properties": {"scale": {"type": "number"}, "bias": {"type": "number"}, "pass": {"type": "boolean"}},
  "additionalProperties": false
}"""


class Manifest(exports.Manifest):
    def describe(self) -> Info:
        return Info("python-affine", "1.0.0", "Scales a tensor, written in Python for tests", SCHEMA, [])
