"""Scales a tensor with the host's `affine` kernel: reads its bytes only if asked to. A test plugin.

With `pass` in its configuration it returns its inputs as they are, the least that a call can do. Request parameters: `raise` (true or a text) raises an exception that is no failure, which the host sees as a trap;
`refuse` answers with a failure; `own` (true) scales in Python instead of in the host.
"""

import json
import struct

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.processor import Signature
from wit_world.imports import tensor_ops
from wit_world.imports.common import Diagnostic, Failure_Invalid, Failure_Unprocessable, Severity
from wit_world.imports.context import Request
from wit_world.imports.tensors import Datatype, Tensor, TensorSpec


class Processor(exports.Processor):
    def __init__(self, scale: float, bias: float, pass_on: bool) -> None:
        self.scale = scale
        self.bias = bias
        self.pass_on = pass_on

    @classmethod
    def open(cls, config: str) -> "Processor":
        values = json.loads(config or "{}")
        pass_on = values.pop("pass", False)
        if not isinstance(pass_on, bool):
            raise Err([wrong("invalid-value", "`pass` is neither true nor false", "/pass")])
        unknown = sorted(set(values) - {"scale", "bias"})
        if unknown:
            raise Err([wrong("unknown-key", f"unknown key `{key}`", f"/{key}") for key in unknown])
        for key, value in values.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise Err([wrong("invalid-value", f"`{key}` is no number", f"/{key}")])
        return cls(float(values.get("scale", 1.0)), float(values.get("bias", 0.0)), pass_on)

    def signature(self) -> Signature:
        spec = TensorSpec("tensor", Datatype.FP32, None, False)
        return Signature([spec], [spec])

    def process(self, inputs: list[tuple[str, Tensor]], request: Request) -> list[tuple[str, Tensor]]:
        if self.pass_on:
            return inputs
        asked = {name: parameter.value for name, parameter in request.parameters()}
        if asked.get("raise"):
            raise RuntimeError(str(asked["raise"]))
        if asked.get("refuse"):
            raise Err(Failure_Unprocessable(str(asked["refuse"])))
        tensors = dict(inputs)
        if "tensor" not in tensors:
            raise Err(Failure_Invalid("input `tensor` is missing"))
        tensor = tensors["tensor"]
        if asked.get("own"):
            return [("tensor", self.scaled_here(tensor))]
        return [("tensor", tensor_ops.affine(tensor, [self.scale], [self.bias], 0, Datatype.FP32))]

    def scaled_here(self, tensor: Tensor) -> Tensor:
        """The same in Python, byte by byte: slow, and there to compare with."""
        data = tensor.read(0, tensor.byte_length())
        layout = f"<{len(data) // 4}f"
        values = [value * self.scale + self.bias for value in struct.unpack(layout, data)]
        return Tensor.from_bytes(Datatype.FP32, tensor.shape(), struct.pack(layout, *values))


def wrong(code: str, message: str, path: str) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, None, path, None, None)
