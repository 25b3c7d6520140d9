"""What the tests of plain requests share: contracts, doors, and what makes two calls equal."""

from __future__ import annotations

from hypothesis import strategies as st

from bridge.contract.datatype import DATATYPES
from bridge.contract.model import ModelContract, TensorSpec, ValueRules
from bridge.gateway.dialects.call import InferCall, InputLimits
from bridge.gateway.dialects.door import Door
from bridge.gateway.dialects.plain import Plain

LIMITS = InputLimits(rows_max=5, id_chars_max=8)
NUMBERS = [name for name, kind in DATATYPES.items() if kind.kind in ("integer", "floating")]
OUTPUTS = (
    TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),
    TensorSpec(name="label", datatype="INT64", shape=(-1,)),
    TensorSpec(name="half", datatype="FP16", shape=(-1, 1, 3)),
)
ids = st.sampled_from([None, "", "a", "long enough to be refused"])


def door_for(spec: TensorSpec) -> Door:
    """A door of a model with this input and three outputs."""
    contract = ModelContract(name="m", version="1", platform="p", inputs=(spec,), outputs=OUTPUTS)
    return Door(contract, LIMITS)


def plain_for(door: Door, content_type: str, header_bytes: int | None) -> Plain:
    """What reads many requests with these headers."""
    plain = door.plain(content_type, header_bytes)
    assert plain is not None
    return plain


@st.composite
def specs(draw: st.DrawFn) -> TensorSpec:
    """An input of numbers."""
    datatype = draw(st.sampled_from(NUMBERS))
    row_shape = draw(st.lists(st.integers(1, 3), max_size=2))
    rules = draw(st.sampled_from([ValueRules(), ValueRules(range=(0, 2))]))
    return TensorSpec(name="x", datatype=datatype, shape=(-1, *row_shape), rules=rules)


def fields(call: InferCall) -> tuple[object, ...]:
    """All of a call but its rows."""
    return (call.id, call.rows, call.outputs, call.timeout_s, call.priority, call.form)
