"""What a request says beside its tensors: id, parameters, wanted outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.contract.model import ModelContract
from bridge.gateway.dialects.call import (
    TIMEOUT_MAX_S,
    AnswerForm,
    InputLimits,
    WantedOutput,
)
from bridge.gateway.dialects.priority import parse_priority
from bridge.gateway.dialects.timeout import parse_timeout_us

ParameterValue = bool | int | float | str
Parameters = dict[str, ParameterValue]
MaybeParameters = Parameters | msgspec.UnsetType | None


class RequestedOutput(Protocol):
    """One element of a request's `outputs`."""

    name: str
    parameters: MaybeParameters


class RequestOptions(msgspec.Struct, frozen=True):
    """The request-level parameters that have an effect."""

    timeout_s: float | None = None
    timeout_is_capped: bool = False
    priority: int = 0
    binary_output: bool = False


NO_OPTIONS = RequestOptions()


def read_id(value: str | msgspec.UnsetType | None, limits: InputLimits) -> str | None:
    """Return the request's id.

    Raises:
        InvalidInput: `bad_id`; too long, or with characters that a log line cannot show.
    """
    if not value:
        return "" if value == "" else None
    # Not printable: control characters, line ends, lone surrogates, U+202E and its like.
    if len(value) > limits.id_chars_max or not value.isprintable():
        raise InvalidInput(
            InvalidCode.BAD_ID,
            f"id: must be printable text of at most {limits.id_chars_max} characters",
        )
    return value


def read_options(parameters: MaybeParameters, limits: InputLimits) -> RequestOptions:
    """Return the options; parameters that we do not know have no effect.

    Raises:
        InvalidInput: `bad_parameter` or `bad_deadline`.
    """
    if not parameters:
        return NO_OPTIONS
    _refuse_many(parameters, "parameters", limits)
    timeout_s: float | None = None
    if "timeout" in parameters:
        timeout_s = parse_timeout_us(parameters["timeout"])
    return RequestOptions(
        timeout_s=None if timeout_s is None else min(timeout_s, TIMEOUT_MAX_S),
        timeout_is_capped=timeout_s is not None and timeout_s > TIMEOUT_MAX_S,
        priority=parse_priority(parameters.get("priority", 0)),
        binary_output=_flag(parameters, "binary_data_output", "parameters", default=False),
    )


def read_binary_size(parameters: MaybeParameters, name: str, limits: InputLimits) -> int | None:
    """Return an input's `binary_data_size` in bytes, None where it has none.

    Raises:
        InvalidInput: `bad_parameter`.
    """
    if not parameters:
        return None
    where = f"input {shown(name)}, parameters"
    _refuse_many(parameters, where, limits)
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise InvalidInput(
            InvalidCode.BAD_PARAMETER,
            f"{where}.binary_data_size: '{shown(size)}' is not a number of bytes",
        )
    return size


class OutputChoice:
    """Which outputs a caller gets, and which of them as binary blocks."""

    def __init__(self, contract: ModelContract, limits: InputLimits) -> None:
        self._limits = limits
        self._binary_only = frozenset(
            spec.name for spec in contract.outputs if spec.datatype == "FP16"
        )
        self._names = frozenset(spec.name for spec in contract.outputs)
        self.as_json = tuple(WantedOutput(spec.name, binary=False) for spec in contract.outputs)
        self.as_binary = tuple(WantedOutput(spec.name, binary=True) for spec in contract.outputs)

    def wanted(
        self,
        requested: Sequence[RequestedOutput] | msgspec.UnsetType | None,
        *,
        binary_output: bool,
    ) -> tuple[WantedOutput, ...]:
        """Return the wanted outputs in the order requested; all of them where none is named.

        Raises:
            InvalidInput: `unknown_name`, `duplicate_name`, `bad_parameter`, or `wrong_dtype` for
                an FP16 output wanted as JSON.
        """
        if requested:
            outputs = self._requested(requested, binary_output=binary_output)
        else:
            outputs = self.as_binary if binary_output else self.as_json
        if self._binary_only:
            self._refuse_binary_only(outputs)
        return outputs

    def form(self, outputs: tuple[WantedOutput, ...]) -> AnswerForm:
        """Return the form of a V2 answer: binary as soon as one output is."""
        if outputs is self.as_json:
            return "json"
        return "binary" if any(output.binary for output in outputs) else "json"

    def _requested(
        self, requested: Sequence[RequestedOutput], *, binary_output: bool
    ) -> tuple[WantedOutput, ...]:
        found: dict[str, WantedOutput] = {}
        for item in requested:
            name = item.name
            if name not in self._names:
                known = ", ".join(shown(known) for known in sorted(self._names)[:4])
                raise InvalidInput(
                    InvalidCode.UNKNOWN_NAME,
                    f"outputs: the model has no output '{shown(name)}', it has {known}",
                )
            if name in found:
                raise InvalidInput(
                    InvalidCode.DUPLICATE_NAME, f"outputs: '{shown(name)}' is named twice"
                )
            found[name] = WantedOutput(name, self._is_binary(item, default=binary_output))
        return tuple(found.values())

    def _is_binary(self, item: RequestedOutput, *, default: bool) -> bool:
        if not item.parameters:
            return default
        where = f"output {shown(item.name)}, parameters"
        _refuse_many(item.parameters, where, self._limits)
        if "classification" in item.parameters:
            raise InvalidInput(
                InvalidCode.BAD_PARAMETER,
                f"{where}.classification: not supported; take the output itself",
            )
        return _flag(item.parameters, "binary_data", where, default=default)

    def _refuse_binary_only(self, outputs: tuple[WantedOutput, ...]) -> None:
        for output in outputs:
            if not output.binary and output.name in self._binary_only:
                raise InvalidInput(
                    InvalidCode.WRONG_DTYPE,
                    f"output {shown(output.name)} is FP16, which JSON does not carry; "
                    "ask for binary_data",
                )


def _refuse_many(parameters: Mapping[str, object], where: str, limits: InputLimits) -> None:
    if len(parameters) > limits.parameters_max:
        raise InvalidInput(
            InvalidCode.BAD_PARAMETER,
            f"{where}: {len(parameters)} of them, at most {limits.parameters_max} are accepted",
        )
    for key in parameters:
        if key.startswith("shared_memory"):
            raise InvalidInput(
                InvalidCode.BAD_PARAMETER, f"{where}.{shown(key)}: no shared memory is offered"
            )


def _flag(parameters: Parameters, key: str, where: str, *, default: bool) -> bool:
    value = parameters.get(key, default)
    if not isinstance(value, bool):
        raise InvalidInput(
            InvalidCode.BAD_PARAMETER, f"{where}.{key}: '{shown(value)}' is not true or false"
        )
    return value
