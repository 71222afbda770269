"""The options: command line before environment before defaults, and one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from carets import limits
from carets.config import TOP_NAMES, Config, parse, unknown_variables
from carets.errors import Misconfigured


def test_without_anything_it_serves_this_machine_only() -> None:
    config = parse([], {})
    assert config == Config() == Config("127.0.0.1", 8040, Path("data"), "", "", "token", open=False, log="text")
    assert config.is_loopback_only
    assert not config.needs_create_token


def test_the_command_line_counts_before_the_environment() -> None:
    environment = {"CARETS_PORT": "1", "CARETS_HOST": "0.0.0.0", "CARETS_DATA": "/e", "CARETS_OPEN": "yes"}
    environment |= {"CARETS_PUBLIC_URL": "https://e.example/", "CARETS_CREATE": "open", "CARETS_LOG": "json"}
    environment |= {"CARETS_BASE_PATH": "/e"}
    config = parse([], environment)
    assert config == Config("0.0.0.0", 1, Path("/e"), "https://e.example", "/e", "open", open=True, log="json")
    assert parse(["--base-path", "/d"], environment).base_path == "/d"
    given = parse(["--port", "2", "--host", "::1", "--data", "d", "--create", "token", "--log", "text"], environment)
    assert (given.port, given.host, given.data, given.create, given.log) == (2, "::1", Path("d"), "token", "text")
    assert given.public_url == "https://e.example"


def test_an_empty_variable_counts_as_not_set() -> None:
    # An empty host once was every network of the machine.
    names = ("HOST", "PORT", "DATA", "PUBLIC_URL", "BASE_PATH", "CREATE", "OPEN", "LOG")
    assert parse([], {f"CARETS_{name}": "" for name in names}) == Config()


@pytest.mark.parametrize(
    "host,public_url,create,needs",
    [
        ("127.0.0.1", "", "token", False),
        ("127.8.8.8", "", "token", False),
        ("::1", "", "token", False),
        ("localhost", "", "token", False),
        ("0.0.0.0", "", "token", True),
        ("192.168.1.5", "", "token", True),
        ("some.name", "", "token", True),
        ("127.0.0.1", "https://a.example", "token", True),
        ("0.0.0.0", "", "open", False),
    ],
)
def test_beyond_loopback_creating_takes_the_token(host: str, public_url: str, create: str, needs: bool) -> None:
    arguments = ["--host", host, "--create", create, *(["--public-url", public_url] if public_url else [])]
    assert parse(arguments, {}).needs_create_token == needs


@pytest.mark.parametrize("port", ["", "-1", "65536", "x", "1.5", "٣", " 1", "9" * 5000, "0x10"])
def test_a_port_is_a_number(port: str) -> None:
    with pytest.raises(Misconfigured, match="--port"):
        parse([f"--port={port}"], {})


@pytest.mark.parametrize(
    "url", ["https://a.example", "http://a.example:81", "https://[::1]:8443", "https://A.example/"]
)
def test_a_public_url_is_kept(url: str) -> None:
    assert parse(["--public-url", url], {}).public_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "a.example",
        "ftp://a.example",
        "https://",
        "https://a.example/path",
        "https://a.example?q",
        "https://a.example#f",
        "https://user:word@a.example",
        "https://[::1",
        "https://a.example:x",
        "https://a.example:99999",
    ],
)
def test_a_public_url_is_scheme_and_host_and_nothing_else(url: str) -> None:
    with pytest.raises(Misconfigured, match="--public-url"):
        parse(["--public-url", url], {})


@pytest.mark.parametrize(
    "environment,words",
    [
        ({"CARETS_CREATE": "anyone"}, "--create takes one of token, open"),
        ({"CARETS_LOG": "xml"}, "--log takes one of text, json"),
        ({"CARETS_OPEN": "perhaps"}, "CARETS_OPEN takes 1 or 0"),
    ],
)
def test_a_wrong_variable_is_said(environment: dict[str, str], words: str) -> None:
    with pytest.raises(Misconfigured, match=words) as caught:
        parse([], environment)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given,kept",
    [("/carets", "/carets"), ("/carets/", "/carets"), ("/a/b-c_d.e~f", "/a/b-c_d.e~f"), ("/", ""), ("/wx", "/wx")],
)
def test_a_base_path_is_kept(given: str, kept: str) -> None:
    assert parse(["--base-path", given], {}).base_path == kept


@pytest.mark.parametrize(
    "path",
    [
        "carets",
        "/a//b",
        "/a/../b",
        "/.a",
        "/a b",
        "/é",
        "/a?b",
        "/a#b",
        '/a"b',
        "/a%20b",
        "https://a.example/b",
        "/a\n",
    ],
)
def test_what_is_no_plain_path_is_no_base_path(path: str) -> None:
    with pytest.raises(Misconfigured, match="--base-path"):
        parse(["--base-path", path], {})


@pytest.mark.parametrize("name", TOP_NAMES)
def test_a_base_path_is_not_one_of_our_own(name: str) -> None:
    for path in (f"/{name}", f"/{name}/below"):
        with pytest.raises(Misconfigured, match="--base-path may not begin"):
            parse(["--base-path", path], {})


def test_an_empty_host_is_no_address() -> None:
    with pytest.raises(Misconfigured, match="--host"):
        parse(["--host", ""], {})


@pytest.mark.parametrize(
    "word,is_open", [("1", True), ("TRUE", True), ("on", True), ("0", False), ("No", False), ("off", False)]
)
def test_a_flag_can_be_said_in_several_words(word: str, is_open: bool) -> None:
    assert parse([], {"CARETS_OPEN": word}).open is is_open
    assert parse(["--open"], {"CARETS_OPEN": word}).open


@pytest.mark.parametrize(
    "arguments",
    [
        ["--tls-cert", "cert.pem"],
        ["--tls", "self-signed", "--tls-cert", "cert.pem", "--tls-key", "key.pem"],
        ["--frame-ancestors", "example.org"],
        ["--frame-ancestors", "https://a.example;script-src"],
        ["--frame-ancestors", "https://[::1]:80"],
        ["--hsts"],
        ["--hsts", "--tls", "self-signed"],
        ["--hsts", "--public-url", "http://a.example"],
        ["--allow-origin", "https://a.example, https://b.example/path"],
        ["--trusted-proxy", "10.0.0.1/8"],
        ["--trusted-proxy", "proxy.lan"],
        ["--members-max", "0"],
        ["--rooms-max", "-1"],
        ["--connections-max", "many"],
        ["--workspace-mib-max", "1.5"],
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_options_name(arguments: list[str]) -> None:
    with pytest.raises(Misconfigured, match=arguments[0]):
        parse(arguments, {})


def test_quotas_origins_and_networks_are_read() -> None:
    config = parse(
        [
            "--public-url",
            "https://c.example",
            "--members-max",
            "7",
            "--workspace-mib-max",
            "3",
            "--allow-origin",
            "https://a.example, http://b.example:81",
        ],
        {"CARETS_TRUSTED_PROXY": "127.0.0.1, fd00::/8", "CARETS_HSTS": "1"},
    )
    assert (config.quotas.members_max, config.quotas.workspace_bytes_max) == (7, 3 << 20)
    assert config.quotas.rooms_max == limits.ROOMS_MAX
    assert config.allow_origin == ("https://a.example", "http://b.example:81")
    assert [str(network) for network in config.trusted_proxy] == ["127.0.0.1/32", "fd00::/8"]
    assert config.hsts
    assert not config.has_tls


@pytest.mark.parametrize("text", ["0", "1000000000", "1000000000000", "x"])
def test_a_bound_says_from_where_to_where(text: str) -> None:
    with pytest.raises(Misconfigured, match="--workspace-mib-max takes a whole number from 1 to 999999999"):
        parse(["--workspace-mib-max", text], {})


def test_variables_that_do_nothing_are_found_by_name() -> None:
    environment = {"CARETS_PORT": "1", "CARETS_PUBLIC_URI": "https://a.example", "CARETSX": "", "HOME": "/"}
    environment["CARETS_WORKSPACE_MIB_MAX"] = "3"
    assert unknown_variables(environment) == ["CARETS_PUBLIC_URI"]
