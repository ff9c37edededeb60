"""The text of a secret key: what was given out is read back, and nothing else is."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from topics.keys import BadSecret, Secret, base64url, from_base64url

#: The first key of RFC 8032, section 7.1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
KEY = Secret("acme_mining", "plant-4", SEED)
TEXT = "bcp_acme_mining_plant-4_nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A_"


def test_a_secret_is_written_with_its_company_and_key() -> None:
    assert KEY.text.startswith(TEXT)
    assert Secret.parse(KEY.text) == KEY
    assert KEY.public_key == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert base64url(SEED) not in repr(KEY)


@given(
    st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}", fullmatch=True),
)
def test_whatever_its_names_it_is_read_back(company: str, name: str) -> None:
    made = Secret.new(company, name)
    assert Secret.parse(made.text) == made


def test_new_keys_differ() -> None:
    assert Secret.new("acme", "a").seed != Secret.new("acme", "a").seed


@pytest.mark.parametrize("place", range(4, len(KEY.text)))
def test_one_wrong_character_is_noticed(place: int) -> None:
    wrong = KEY.text[:place] + ("0" if KEY.text[place] != "0" else "1") + KEY.text[place + 1 :]
    with pytest.raises(BadSecret) as told:
        Secret.parse(wrong)
    assert wrong not in str(told.value)


@pytest.mark.parametrize(
    "text", ["", "bcp_", KEY.text[:-1], KEY.text + "0", KEY.text.upper(), f" {KEY.text}", "é" * 99]
)
def test_what_was_never_given_out_is_no_key(text: str) -> None:
    with pytest.raises(BadSecret):
        Secret.parse(text)


def test_base64url_is_without_padding() -> None:
    for raw in (b"", b"a", b"ab", b"abc", Ed25519PrivateKey.generate().private_bytes_raw()):
        assert "=" not in base64url(raw)
        assert from_base64url(base64url(raw)) == raw
