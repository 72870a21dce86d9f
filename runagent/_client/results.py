"""The result of a plain run as the type that its caller wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runagent._errors import ConfigurationError, ProtocolError
from runagent._internal.foreign import ENDS_LOOPS, find_hook
from runagent._internal.tracebacks import is_ours
from runagent._redact import describe, hide_secrets

if TYPE_CHECKING:
    from runagent._report import RunAgentError
    from runagent._run.run import Run

__all__ = ["as_type", "check_result_type"]

__tracebackhide__ = is_ours

_EXPECTED = "a dataclass, a msgspec struct, a pydantic model, or a type that is made of these and of JSON's"


def check_result_type(result_type: Any) -> None:
    """Check, before the run, that results can be converted to a type.

    Raises:
        ConfigurationError: They cannot.
    """
    from msgspec.inspect import CustomType, type_info

    try:
        msgspec.json.Decoder(result_type, dec_hook=_validate)
        info = type_info(result_type)
    except (TypeError, ValueError, NameError) as exc:
        raise ConfigurationError(f"result_type: {exc}") from None
    if isinstance(info, CustomType) and not _is_model(info.cls):
        raise ConfigurationError(f"result_type: expected {_EXPECTED}, found {describe(result_type)}")


def as_type(run: Run, result: Any, result_type: Any) -> Any:
    """Return the result of a run as a type, or as it is if that is None.

    Raises:
        ProtocolError: It is something else; the message has the path to the culprit.
        ConfigurationError: A class inside of the type is none that results can be converted to, or it raised
            what a loop over runs would take for its end.
    """
    if result_type is None:
        return result
    try:
        return msgspec.convert(result, result_type, str_keys=True, dec_hook=_validate)
    except (msgspec.ValidationError, RecursionError) as exc:
        name = getattr(result_type, "__name__", str(result_type))
        error: RunAgentError = ProtocolError(
            f"the result is not what result_type={name} takes: {exc}", code="RESULT_TYPE"
        )
    except ENDS_LOOPS as exc:
        where = find_hook(exc) or "it"
        error = ConfigurationError(f"result_type raised {type(exc).__name__} in {where}")
    hide_secrets(error, run.secrets)
    raise run.identify(error)


def _is_model(kind: Any) -> bool:
    return callable(getattr(kind, "model_validate", None))


def _validate(kind: Any, value: Any) -> Any:
    """Convert a value to a class that msgspec does not know."""
    if not _is_model(kind):
        raise ConfigurationError(f"result_type: expected {_EXPECTED}, found {kind.__name__} in it")
    try:
        return kind.model_validate(value)
    except ValueError as exc:
        raise ValueError(_faults(exc)) from None


def _faults(exc: ValueError) -> str:
    """Describe what a model does not take, in one line with the paths; pydantic's own text has many."""
    errors = getattr(exc, "errors", None)
    if not callable(errors):
        return str(exc)
    faults = (f"{fault['msg']} - at `{_path(fault['loc'])}`" for fault in errors())
    return "; ".join(faults)


def _path(places: tuple[str | int, ...]) -> str:
    return "$" + "".join(f"[{place}]" if isinstance(place, int) else f".{place}" for place in places)
