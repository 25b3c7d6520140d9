from __future__ import annotations

import re

from bridge.wire import keys

VERSION = "crop_yield@12"


def hash_tag(key: str) -> str:
    """What Redis Cluster hashes of a key: the text in its first braces."""
    found = re.search(r"\{([^}]+)\}", key)
    assert found is not None, key
    return found[1]


def test_all_keys_of_a_model_version_share_a_hash_slot() -> None:
    streams = [keys.online_key(VERSION), keys.batch_key(VERSION), keys.dead_key(VERSION)]
    assert [hash_tag(key) for key in streams] == [VERSION] * 3


def test_no_two_things_share_a_key() -> None:
    named = [
        keys.online_key(VERSION),
        keys.batch_key(VERSION),
        keys.dead_key(VERSION),
        keys.contract_key(VERSION),
        keys.results_key("0f"),
        keys.GATEWAYS_KEY,
        keys.LEAVING_KEY,
        keys.CANCELLED_CHANNEL,
    ]
    assert len(set(named)) == len(named)


def test_every_key_is_in_the_data_dictionary() -> None:
    assert keys.__doc__ is not None
    documented = set(re.findall(r"^\| (bb:\S+)", keys.__doc__, re.MULTILINE))
    assert documented == {
        keys.online_key("model@version"),
        keys.batch_key("model@version"),
        keys.dead_key("model@version"),
        keys.results_key("<id>"),
        keys.GATEWAYS_KEY,
        keys.LEAVING_KEY,
        keys.contract_key("<model@version>"),
        keys.CANCELLED_CHANNEL,
    }
