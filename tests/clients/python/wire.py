"""Checks every answer of a boto3 client against botocore's model of the service.

botocore itself is lenient: it drops members that it does not know, and does not
miss those that are not there. Here both are errors, as are values of another
type, texts that no enumeration has, and errors that the model does not name.
"""

import base64
import json

# Errors that the model does not list for each operation, but that any may give.
COMMON = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "ThrottlingException",
    "UnrecognizedClientException",
    "ValidationException",
}


class Checker:
    """Collects the operations that were answered, and what was wrong."""

    def __init__(self, client):
        self.answered = set()
        self.wrong = []
        client.meta.events.register("before-parse.kms", self.check)

    def check(self, operation_model, response_dict, **_):
        """Is called by botocore with each answer, before it is parsed."""
        name = operation_model.name
        body = json.loads(response_dict["body"] or b"{}")
        if response_dict["status_code"] == 200:
            self.answered.add(name)
            if operation_model.output_shape:
                self._value(operation_model.output_shape, body, name)
            elif body:
                self.wrong.append(f"{name}: an answer where there is none: {body}")
            return
        known = COMMON | {shape.name for shape in operation_model.error_shapes}
        if body.get("__type") not in known or set(body) - {"__type", "message"}:
            self.wrong.append(f"{name}: an error that the model has not: {body}")
        if response_dict["headers"].get("x-amzn-RequestId") is None:
            self.wrong.append(f"{name}: no request id")

    def _value(self, shape, value, path):
        well_formed = getattr(self, "_" + shape.type_name)
        if not well_formed(shape, value, path):
            self.wrong.append(f"{path}: {value!r} is no {shape.name} ({shape.type_name})")

    def _structure(self, shape, value, path):
        if not isinstance(value, dict):
            return False
        for name in value.keys() - shape.members.keys():
            self.wrong.append(f"{path}.{name}: not in the model")
        for name in set(shape.required_members) - value.keys():
            self.wrong.append(f"{path}.{name}: missing")
        for name in value.keys() & shape.members.keys():
            self._value(shape.members[name], value[name], f"{path}.{name}")
        return True

    def _list(self, shape, value, path):
        if not isinstance(value, list):
            return False
        for i, item in enumerate(value):
            self._value(shape.member, item, f"{path}[{i}]")
        return True

    def _map(self, shape, value, path):
        if not isinstance(value, dict):
            return False
        for key, item in value.items():
            self._value(shape.value, item, f"{path}[{key}]")
        return True

    @staticmethod
    def _string(shape, value, _):
        return isinstance(value, str) and (not shape.enum or value in shape.enum)

    @staticmethod
    def _blob(_shape, value, _):
        try:
            return len(base64.b64decode(value, validate=True)) > 0
        except (TypeError, ValueError):
            return False

    @staticmethod
    def _boolean(_shape, value, _):
        return isinstance(value, bool)

    @staticmethod
    def _integer(_shape, value, _):
        return isinstance(value, int) and not isinstance(value, bool)

    @staticmethod
    def _timestamp(_shape, value, _):
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 1.6e9
