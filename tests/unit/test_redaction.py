import pytest

from archsearch.redaction import redact, redact_all, shown_address


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ann:s3cret@host:5000/x", "http://***@host:5000/x"),
        ("http://ann:s3@cret@host", "http://***@host"),
        ("postgresql+psycopg://ann:s3cret@db/runs", "postgresql+psycopg://***@db/runs"),
        ("s3://b/k?X-Amz-Security-Token=abc&part=1", "s3://b/k?X-Amz-Security-Token=***&part=1"),
        ("https://host/a?api_key=abc", "https://host/a?api_key=***"),
        ("mail ann@host about http://host", "mail ann@host about http://host"),
    ],
)
def test_credentials_of_urls_are_masked_and_nothing_else(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_secrets_of_the_environment_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter22")
    monkeypatch.setenv("HARMLESS", "verbatim")
    assert redact("401 for hunter22, verbatim") == "401 for ***, verbatim"


def test_nested_data_is_masked_in_every_text() -> None:
    data = {"a": ["http://u:p@h", 3, None], "b": {"c": ("x", "sqlite:///f")}}
    assert redact_all(data) == {"a": ["http://***@h", 3, None], "b": {"c": ["x", "sqlite:///f"]}}


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://ann:s3cret@host:5000", "https://host:5000"),
        ("http://host", "http://host"),
        ("postgresql+psycopg://ann:s3cret@db/runs", "postgresql+psycopg://***@db/runs"),
        ("sqlite:///runs/mlflow.db", "sqlite:///runs/mlflow.db"),
    ],
)
def test_an_address_of_a_server_is_shown_so_that_it_can_be_given_again(
    address: str, shown: str
) -> None:
    assert shown_address(address) == shown
