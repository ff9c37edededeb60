"""JSON Schemas of the domain's and views' models under one set of names, with an example for each."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

REF = "#/components/schemas/{model}"
Mode = Literal["validation", "serialization"]
Schema = dict[str, Any]

FORMATS = {
    "date": "2026-03-02",
    "date-time": "2026-03-02T15:04:05Z",
    "uuid": "0197c7a8-5f6e-7d3a-9b1c-2d3e4f5a6b7c",
    "email": "maria.quispe@example.com",
}


class Schemas:
    """Schemas of models by reference: `refs[model]` is `{"$ref": ...}`, `components` holds what it points to."""

    def __init__(self, models: Iterable[tuple[type[BaseModel], Mode]]) -> None:
        wanted = list(dict.fromkeys(models))
        refs, definitions = models_json_schema(wanted, ref_template=REF)
        self.refs: Mapping[Any, Schema] = {model: ref for (model, _), ref in refs.items()}
        self.components: dict[str, Schema] = definitions.get("$defs", {})
        asked = self._reachable(ref for (_, mode), ref in refs.items() if mode == "validation")
        for name in self.components.keys() - asked:
            self.components[name].pop("additionalProperties", None)  # what we say may grow

    def _reachable(self, schemas: Iterable[Any]) -> set[str]:
        """Names of the components that the schemas refer to, directly or not."""
        found: set[str] = set()
        waiting = list(schemas)
        while waiting:
            schema = waiting.pop()
            if isinstance(schema, dict):
                name = schema.get("$ref", "").rpartition("/")[2]
                if name and name not in found:
                    found.add(name)
                    waiting.append(self.components[name])
                waiting += schema.values()
            elif isinstance(schema, list):
                waiting += schema
        return found

    def of(self, model: type[BaseModel]) -> Schema:
        """The schema that the model's reference points to."""
        return self.resolved(self.refs[model])

    def resolved(self, schema: Schema) -> Schema:
        reference = schema.get("$ref", "")
        return self.components[reference.rpartition("/")[2]] if reference else schema

    def add(self, name: str, schema: Schema) -> Schema:
        """Another schema under a name of its own; the reference to it."""
        if self.components.setdefault(name, schema) != schema:
            raise ValueError(f"two schemas are called {name}")
        return {"$ref": REF.format(model=name)}

    def drop(self, model: type[BaseModel]) -> None:
        """Leave out a model that nothing refers to."""
        del self.components[self.refs[model]["$ref"].rpartition("/")[2]]

    def example(self, schema: Schema) -> Any:
        """A value that the schema takes, of the examples that value types carry; members that may be left out are."""
        found = self.resolved(schema)
        if "examples" in found:
            return found["examples"][0]
        match found:
            case {"const": value} | {"enum": [value, *_]} | {"default": value}:
                return value
            case {"anyOf": [first, *_]} | {"allOf": [first, *_]} | {"oneOf": [first, *_]}:
                return self.example(first)
            case {"type": "object", "properties": properties}:
                return {key: self.example(properties[key]) for key in found.get("required", ())}
            case {"type": "array", "prefixItems": parts}:
                return [self.example(part) for part in parts]
            case {"type": "array", "items": part}:
                return [self.example(part)]
            case {"type": "string"}:
                return FORMATS.get(found.get("format", ""), "text")
            case {"type": "integer" | "number"}:
                return found.get("minimum", 1)
            case _:
                return {"object": {}, "boolean": True}.get(found.get("type", ""))
