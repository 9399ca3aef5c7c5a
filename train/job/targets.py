"""Objects that a config names by their class: checked against the class's own signature, then made.

`{_target_: lightning.pytorch.callbacks.EarlyStopping, patience: 5}` is a callback; a value that has a `_target_` of
its own is made first. An unknown key or a value of the wrong type is an InputError that says what was expected.
"""

import difflib
import inspect
import pkgutil
import typing
from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from data.errors import InputError

Target = dict[str, Any]  # `_target_` and the arguments of what it names
ARBITRARY = ConfigDict(arbitrary_types_allowed=True, coerce_numbers_to_str=True)


def make(target: Target, key: str, **arguments: Any) -> Any:
    """Make what a config names; see `checked`."""
    return checked(target, key, **arguments)()


def checked(target: Target, key: str, **arguments: Any) -> Callable[[], Any]:
    """What makes the object that a config names, its settings checked already.

    Args:
        target: `_target_` and arguments.
        key: where it stands in the config, for messages.
        arguments: further ones, which the config may not give.

    Raises:
        InputError: the target cannot be imported, or does not take its arguments.
    """
    if "_target_" not in target:
        raise InputError(f"{key}: expected _target_, the class to make; found {', '.join(target) or 'nothing'}")
    name = target["_target_"]
    try:
        called = pkgutil.resolve_name(name)
    except Exception as error:  # importing runs the code of others
        raise InputError(f"{key}._target_ = {name!r}: cannot be imported ({_one_line(error)})") from error
    given = {
        word: make(value, f"{key}.{word}") if isinstance(value, dict) and "_target_" in value else value
        for word, value in target.items()
        if word != "_target_"
    }
    typed = _typed(called, given, key, taken=set(arguments))

    def made() -> Any:
        try:
            return called(**typed, **arguments)
        except InputError:
            raise
        except Exception as error:  # each class refuses in its own way
            raise InputError(f"{key}: {name} refuses its settings: {_one_line(error)}") from error

    return made


def _typed(called: Any, given: dict[str, Any], key: str, *, taken: set[str]) -> dict[str, Any]:
    """The arguments in the types that the signature of `called` asks for."""
    parameters = {
        word: parameter
        for word, parameter in inspect.signature(called).parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD) and word not in taken
    }
    kinds = {parameter.kind for parameter in inspect.signature(called).parameters.values()}
    for word in given:
        if word in taken:
            raise InputError(f"{key}.{word}: is set by Setpoint, leave it out")
        if word not in parameters and inspect.Parameter.VAR_KEYWORD not in kinds:
            near = difflib.get_close_matches(word, parameters, n=1)
            known = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(parameters)}"
            raise InputError(f"{key}.{word}: unknown key; {known}")
    absent = [word for word, one in parameters.items() if one.default is one.empty and word not in given]
    if absent:
        raise InputError(f"{key}.{absent[0]}: this key is missing")
    types = _types_of(called)
    return {word: _typed_value(value, types.get(word), f"{key}.{word}") for word, value in given.items()}


def _typed_value(value: Any, annotation: Any, key: str) -> Any:
    if annotation is None:
        return value
    try:
        return TypeAdapter(annotation, config=ARBITRARY).validate_python(value)
    except (PydanticSchemaGenerationError, PydanticUserError):  # a type that no value from a file could have
        return value
    except ValidationError as error:
        expected = "; or ".join(dict.fromkeys(one["msg"][0].lower() + one["msg"][1:] for one in error.errors()))
        raise InputError(f"{key} = {value!r}: {expected}") from error


def _types_of(called: Any) -> dict[str, Any]:
    """Annotations of the parameters; none where they name what only a type checker imports."""
    try:
        return typing.get_type_hints(called.__init__ if inspect.isclass(called) else called)
    except (NameError, TypeError):
        return {}


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
