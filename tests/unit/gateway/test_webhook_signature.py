"""Signatures by the Standard Webhooks specification, and when a webhook is sent again."""

from __future__ import annotations

import pytest

from bridge.gateway.webhooks.retry import ATTEMPTS_MAX, DELAY_S_MAX, delay_s
from bridge.gateway.webhooks.signature import BadSecretError, WebhookSigner

# The example that the specification's own libraries test with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOK_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_signature_is_the_specifications() -> None:
    assert WebhookSigner(SECRET).headers(WEBHOOK_ID, 1614265330, BODY) == {
        "webhook-id": WEBHOOK_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_while_a_secret_is_replaced_both_sign() -> None:
    other = "whsec_" + "QUFB" * 8
    signed = WebhookSigner(f"{other} {SECRET}").headers(WEBHOOK_ID, 1614265330, BODY)
    assert [one[:3] for one in signed["webhook-signature"].split(" ")] == ["v1,", "v1,"]
    assert signed["webhook-signature"].split(" ")[1] == SIGNATURE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "whsec_QUFB",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_!!!!",
        "whsec_" + "QUFB" * 22,
        " ".join([SECRET] * 5),
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(BadSecretError, match="expected") as refused:
        WebhookSigner(text)
    assert text == "whsec_" or not text or text not in str(refused.value)


def test_delays_double_with_jitter_and_end() -> None:
    assert [delay_s(attempts, 0.0) for attempts in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert delay_s(3, 0.999) == pytest.approx(4.0, rel=1e-3)
    assert delay_s(ATTEMPTS_MAX, 0.5) is None


def test_a_receiver_may_ask_for_more_time_within_bounds() -> None:
    assert delay_s(1, 0.0, asked_s=30.0) == 30.0
    assert delay_s(1, 0.0, asked_s=1e9) == DELAY_S_MAX
