"""Which servers and keys a shell in a directory takes."""

from pathlib import Path

from pydantic import SecretStr

from ops import admission, stack
from topics.settings import Settings

HERE, ELSEWHERE = "127.0.0.1:24161", "kafka.example:9092"


def settings(directory: Path, kafka: str) -> Settings:
    """Settings of a shell that names a cluster, in the directory of a stack with keys of its own."""
    own = Settings(directory=directory, kafka="", database=SecretStr("postgresql://one"), signing_key=SecretStr(""))
    admission.ensure(own)
    stack.write(directory, stack.Addresses(HERE, "postgresql://here"))
    return own.model_copy(update={"kafka": kafka})


def test_the_keys_of_the_directory_s_stack_sign_for_its_cluster(tmp_path: Path) -> None:
    assert stack.resolve(settings(tmp_path, HERE)).signing_key.get_secret_value().startswith(admission.EMBEDDED)


def test_the_keys_of_the_directory_s_stack_are_not_taken_to_another_cluster(tmp_path: Path) -> None:
    found = stack.resolve(settings(tmp_path, ELSEWHERE))
    assert found.kafka == ELSEWHERE
    assert not found.signing_key.get_secret_value()
    assert not found.root_private_key.get_secret_value()
    assert not found.lanes_public_key


def test_a_key_that_the_settings_name_goes_before_those_of_the_directory(tmp_path: Path) -> None:
    named = settings(tmp_path, HERE).model_copy(update={"signing_key": SecretStr("api-1:key")})
    assert stack.resolve(named).signing_key.get_secret_value() == "api-1:key"
