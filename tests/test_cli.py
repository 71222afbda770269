"""The command: its words, and its exit status."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

import carets
from carets import cli
from carets.config import Config


def test_serve_serves_with_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Config] = []

    def serve(config: Config) -> int:
        served.append(config)
        return 0

    monkeypatch.setattr(cli, "serve", serve)
    assert cli.main(["serve", "--port", "0", "--data", "d"]) == 0
    assert served == [Config(port=0, data=Path("d"))]


def test_a_command_that_is_interrupted_says_nothing_and_is_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "serve", interrupted)
    assert cli.main(["serve"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_wrong_option_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--port", "x"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "carets: --port takes a number from 0 to 65535, not 'x'.\n")


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "COMMAND"),
        (["fly"], "'fly'"),
        (["serve", "--unheard-of"], "--unheard-of"),
        (["serve", "--unheard-of\n--of"], "--unheard-of --of"),
        (["serve", "--create", "all"], "--create"),
        (["serve", "--data"], "--data"),
        (["admin", "links"], "WORKSPACE"),
    ],
)
def test_unknown_words_are_one_line_that_names_them_and_status_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They were argparse's usage over several lines, where one line was promised."""
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), err[:8]) == ("", 1, "carets: ")
    assert words in err
    assert "--help`" in err


def test_the_version_and_the_help_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--version"], ["--help"], ["serve", "--help"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 0
    out = capsys.readouterr().out
    assert f"carets {carets.__version__}\n" in out
    assert "--public-url" in out


def test_the_module_is_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["carets", "--version"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("carets", run_name="__main__")
    assert caught.value.code == 0
    assert carets.__version__ in capsys.readouterr().out
