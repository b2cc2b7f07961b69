"""Turn frozen dataclasses into JSON and back, and change them by typed overrides, `--set a.b=3`."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from colorize import recipes
from colorize.errors import ColorizeError, alike, nearest

Value = TypeVar("Value")
PLAIN = {  # type -> what JSON gives, and what people call it
    int: ((int,), "a whole number"),
    float: ((float, int), "a number"),
    bool: ((bool,), "true or false"),
    str: ((str,), "a word"),
    type(None): ((type(None),), "none"),
}

SYNONYMS = {  # of other programs -> ours
    "learning_rate": "lr",
    "batch_size": "batch",
    "train_batch_size": "batch",
    "resolution": "size",
    "image_size": "size",
    "epochs": "steps",
    "iterations": "steps",
    "max_steps": "steps",
    "max_train_steps": "steps",
    "warmup_steps": "warmup",
    "lr_warmup_steps": "warmup",
    "max_grad_norm": "clip",
    "grad_clip": "clip",
    "ema_decay": "ema",
    "channels": "widths",
    "num_heads": "heads",
}
ALL = "`colorize train RECIPE --dry-run` prints all settings"


def to_dict(value: Any) -> Any:
    """Turn a value into JSON-able data; a dataclass becomes a dict that names its class under "is"."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"is": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [to_dict(item) for item in value]
    return {name: to_dict(item) for name, item in value.items()} if isinstance(value, dict) else value


def from_dict(default: Value, data: Mapping[str, Any]) -> Value:
    """Read what `to_dict` wrote, on top of a default value; unknown names are refused."""
    return typing.cast(Value, _read(type(default), default, dict(data), ""))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every (dotted name, value) that `--set` can change."""
    for field in dataclasses.fields(value):
        item, name = getattr(value, field.name), f"{path}{field.name}"
        if dataclasses.is_dataclass(item) and not isinstance(item, type):
            yield from leaves(item, f"{name}.")
        else:
            yield name, item


def unknown(name: str, known: Iterable[str]) -> ColorizeError:
    """Return the error for a misspelt setting; it names the settings that are near, and where to find all."""
    leaves = {leaf: leaf.rpartition(".")[2] for leaf in known}
    last = name.rpartition(".")[2].lower().replace("-", "_")
    same = [leaf for leaf, end in leaves.items() if end == SYNONYMS.get(last, last)]
    near = same or alike(name, leaves) or [leaf for leaf, end in leaves.items() if alike(last, [end])]
    depth = min((leaf.count(".") for leaf in near), default=0)
    shown = [f"`{leaf}`" for leaf in near if leaf.count(".") == depth][:3]
    names = ", ".join(shown[:-1]) + " or " + shown[-1] if len(shown) > 1 else "".join(shown)
    return ColorizeError(f"`{name}` is not a setting", f"did you mean {names}?" if names else ALL, code=2)


def override(value: Value, *texts: str) -> Value:
    """Change leaves by `a.b=3`; numbers, booleans, names and [lists] as in JSON, or a class name.

    All texts are applied together, so that settings which must fit each other can change at once.
    Raises ColorizeError for a misspelt name (with the nearest one) and for a value of another type.
    """
    tree: dict[str, Any] = {}
    for text in texts:
        name, equals, given = text.partition("=")
        if not equals:
            raise ColorizeError(f"`--set {text}` has no value", "write it as name=value", code=2)
        node, parts = tree, [part.strip() for part in name.split(".")]
        if not all(parts):
            raise ColorizeError(f"`--set {text}` names no setting", ALL, code=2)
        for part in parts:
            node = node.setdefault(part, {})
        node[""] = name.strip(), given.strip()
    return typing.cast(Value, _apply(value, tree, "")) if tree else value


def _apply(value: Any, tree: Mapping[str, Any], prefix: str) -> Any:
    """Change one dataclass by a tree of names, whose leaves "" are (full name, text)."""
    hints, known = typing.get_type_hints(type(value)), [f.name for f in dataclasses.fields(value)]
    changes: dict[str, Any] = {}
    for field, below in tree.items():
        name = _full_name(below)
        if field not in known:
            names = [prefix + leaf for leaf, _ in leaves(value)] + [prefix + one for one in known]
            raise unknown(name, names)
        item, parts = getattr(value, field), {key: node for key, node in below.items() if key}
        if "" in below:
            item = _parse(hints[field], item, below[""][1], name)
        if parts and not dataclasses.is_dataclass(item):
            raise ColorizeError(f"`{_full_name(parts)}` is not a setting", f"`{field}` has no parts", code=2)
        changes[field] = _apply(item, parts, f"{prefix}{field}.") if parts else item
    try:
        return dataclasses.replace(value, **changes)
    except ArithmeticError as error:  # such as 0 heads
        raise ColorizeError(f"`{_full_name(tree)}` has an impossible value: {error}", ALL, code=2) from error


def _full_name(tree: Mapping[str, Any]) -> str:
    """Return the full name of the first change in a tree."""
    while "" not in tree:
        tree = next(iter(tree.values()))
    return str(tree[""][0])


def _choices(wanted: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the type."""
    is_union = typing.get_origin(wanted) in (typing.Union, types.UnionType)
    return typing.get_args(wanted) if is_union else (wanted,)


def _classes(wanted: Any, name: str = "") -> dict[str, Any]:
    """The dataclasses that a value may be of; an abstract class stands for its subclasses, which systems define.

    name: of the class that is looked for; where no class is called so, all systems are imported first.
    """
    kinds: list[Any] = [choice for choice in _choices(wanted) if isinstance(choice, type)]
    bases = [kind for kind in kinds if inspect.isabstract(kind)]

    def known() -> dict[str, Any]:
        systems = [kind for base in bases for kind in base.__subclasses__()]
        both: list[Any] = [*kinds, *systems]
        return {kind.__name__: kind for kind in both if isinstance(kind, type) and dataclasses.is_dataclass(kind)}

    if bases and name and name not in known():
        recipes.every()
    return known()


def _parse(wanted: Any, item: Any, given: str, name: str) -> Any:
    """Read one value given as text."""
    classes = _classes(wanted, given)
    if given in classes:
        return classes[given]()
    if classes and not (given in ("none", "null") and type(None) in _choices(wanted)):
        raise ColorizeError(f"unknown kind `{given}` of `{name}`", nearest(given, classes), code=2)
    try:
        data = json.loads(given.replace("(", "[").replace(")", "]").replace("none", "null"))
    except (ValueError, RecursionError):  # not JSON, or a number of thousands of digits
        data = given
    return _read(wanted, item, data, name)


def _read(wanted: Any, default: Any, data: Any, name: str) -> Any:
    """Check data against a type and build the value; the default says what a dict leaves out."""
    if isinstance(data, dict):
        return _read_class(wanted, default, data, name)
    finite = not isinstance(data, int | float) or abs(data) <= sys.float_info.max  # False for nan
    for choice in _choices(wanted):
        origin, arguments = typing.get_origin(choice), typing.get_args(choice)
        if origin is tuple and isinstance(data, list):
            many = len(arguments) == 2 and arguments[1] is Ellipsis
            kinds = [arguments[0]] * len(data) if many else list(arguments)
            if len(kinds) == len(data):
                return tuple(_read(k, None, d, name) for k, d in zip(kinds, data, strict=True))
        if origin is typing.Literal and data in arguments:
            return data
        if finite and choice in PLAIN and type(data) in PLAIN[choice][0]:
            return data if data is None else choice(data)
    raise ColorizeError(f"`{name}={data}` is not {_describe(wanted)}", f"its value is {to_dict(default)} now", code=2)


def _read_class(wanted: Any, default: Any, data: dict[str, Any], name: str) -> Any:
    """Build a dataclass from its dict, which names the class when several are possible."""
    kind = data.get("is", type(default).__name__)
    classes = _classes(wanted, kind)
    if kind not in classes:
        raise ColorizeError(f"`{name or 'config'}` is of the unknown kind `{kind}`", nearest(kind, classes))
    cls: Any = classes[kind]
    hints = typing.get_type_hints(cls)
    base = default if type(default) is cls else None
    values = {}
    for key, item in ((key, item) for key, item in data.items() if key != "is"):
        full = f"{name}.{key}".lstrip(".")
        if key not in hints:
            raise ColorizeError(f"`{full}` is not a setting", nearest(key, hints))
        values[key] = _read(hints[key], getattr(base, key, None), item, full)
    return cls(**values) if base is None else dataclasses.replace(base, **values)


def _describe(wanted: Any) -> str:
    parts = []
    for choice in _choices(wanted):
        if typing.get_origin(choice) is typing.Literal:
            parts.append("one of " + ", ".join(map(str, typing.get_args(choice))))
        elif typing.get_origin(choice) is tuple:
            parts.append("a list such as [1,2]")
        else:
            parts.append(PLAIN[choice][1] if choice in PLAIN else getattr(choice, "__name__", str(choice)))
    return " or ".join(parts)
