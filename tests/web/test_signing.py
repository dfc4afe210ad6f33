"""Secrets: made once, rotated, read from files, and refused loudly when somebody could guess them."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from studymatch.settings import SettingError, Settings
from web import cli
from web.signing import SECRET_FILE, kept_secrets, signing_secrets

ONE, TWO, THREE = "one-secret-of-ours", "another-secret-of-ours", "the-third-secret"

GUESSABLE = {
    "empty": b"",
    "short": b"short\n",
    "one character short": b"x" * 15 + b"\n",
    "blank": b" " * 40,
    "a blank line": b"\n",
    "tabs": b"\t" * 40 + b"\n",
    "zeros, as after a power cut": b"\0" * 43,
    "zeros behind the beginning": ONE.encode() + b"\0" * 20,
    "blanks within": b"four words of a sentence\n",
    "characters that nobody sees": "\u200b\u2800\u3000".encode() * 10,
    "no text": b"\xff\xfe" + b"x" * 30,
    "a second line that is short": ONE.encode() + b"\nshort\n",
}


def test_the_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    [secret] = kept_secrets(tmp_path)
    assert len(secret) >= 32
    assert kept_secrets(tmp_path) == (secret,)
    [file] = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("function", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_no_key_behind(
    tmp_path: Path, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start made a key of the empty file, with which anybody could be anybody."""

    def no_space(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if function == "write":
            patch.setattr("studymatch.state_files.os.fdopen", no_space)
        else:
            patch.setattr(Path if function == "replace" else os, function, no_space)
        with pytest.raises(OSError, match="No space left"):
            kept_secrets(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(kept_secrets(tmp_path)[0]) >= 32


def test_a_disk_that_is_full_after_some_bytes_leaves_no_key_behind(tmp_path: Path) -> None:
    """With a limit of the system on the size of files, in a process of its own."""
    limited = (
        "import resource, sys; from pathlib import Path; from web.signing import kept_secrets\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)); kept_secrets(Path(sys.argv[1]))"
    )
    said = subprocess.run([sys.executable, "-c", limited, str(tmp_path)], capture_output=True, text=True)
    assert "File too large" in said.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", GUESSABLE.values(), ids=GUESSABLE)
def test_a_kept_key_that_could_be_guessed_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SECRET_FILE).write_bytes(content)
    with pytest.raises(
        SettingError, match=rf"the signing key .*{SECRET_FILE} expects .*Put the former"
    ) as said:
        kept_secrets(tmp_path)
    assert "\n" not in str(said.value)
    assert ONE not in str(said.value)
    assert (tmp_path / SECRET_FILE).read_bytes() == content, "it may be of use to somebody"


@pytest.mark.parametrize("what", ["folder", "pipe", "link to nothing"])
def test_what_is_no_file_is_no_key(tmp_path: Path, what: str) -> None:
    path = tmp_path / SECRET_FILE
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(SettingError, match=r"the signing key .* cannot be read"):
        kept_secrets(tmp_path)


@pytest.mark.parametrize("content", GUESSABLE.values(), ids=GUESSABLE)
def test_a_secret_file_that_could_be_guessed_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(SettingError, match=rf"--secret-file {file} expects"):
        signing_secrets(Settings(secret_file=(str(file),)), tmp_path)


def test_a_secret_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"--secret-file .*/missing cannot be read: No such file"):
        signing_secrets(Settings(secret_file=(str(tmp_path / "missing"),)), tmp_path)


@pytest.mark.parametrize("content", [f"{ONE}\n{TWO}\n", f"{ONE}\r\n{TWO}\r\n", f"\ufeff{ONE}\n\n {TWO}"])
def test_secrets_come_from_options_then_from_files_then_from_the_data_folder(
    tmp_path: Path, content: str
) -> None:
    """As an editor, `echo`, Docker and Kubernetes write such files."""
    file = tmp_path / "secret"
    file.write_bytes(content.encode())
    assert signing_secrets(Settings(secret=(THREE,), secret_file=(str(file),)), tmp_path) == (THREE, ONE, TWO)
    assert signing_secrets(Settings(secret_file=(str(file),)), tmp_path) == (ONE, TWO)
    assert not (tmp_path / SECRET_FILE).exists()
    kept = kept_secrets(tmp_path)
    assert signing_secrets(Settings(), tmp_path) == kept


def start(
    monkeypatch: pytest.MonkeyPatch, *options: str, **environment: str
) -> tuple[Result, list[Settings]]:
    """What a command line is understood as, without running anything."""
    seen: list[Settings] = []

    async def note(settings: Settings) -> None:
        seen.append(settings)

    monkeypatch.setattr("web.run.serve", note)
    return CliRunner().invoke(cli.main, ["serve", *options], env=environment), seen


def test_secrets_are_given_several_times_or_with_blanks_between(monkeypatch: pytest.MonkeyPatch) -> None:
    _, [by_options] = start(monkeypatch, "--secret", ONE, "--secret", TWO)
    _, [by_variable] = start(monkeypatch, STUDYMATCH_SECRET=f" {ONE} {TWO}\n")
    assert by_options.secret == by_variable.secret == (ONE, TWO)
    _, [by_file] = start(monkeypatch, STUDYMATCH_SECRET_FILE="/run/secrets/a b:/run/secrets/c")
    assert by_file.secret_file == ("/run/secrets/a b", "/run/secrets/c")


@pytest.mark.parametrize("secret", ["", "short", " " * 16, "\u00a0" * 16, "four words of a sentence"])
@pytest.mark.parametrize("in_environment", [False, True])
def test_a_secret_that_could_be_guessed_is_refused(
    monkeypatch: pytest.MonkeyPatch, secret: str, in_environment: bool
) -> None:
    if in_environment:
        result, seen = start(monkeypatch, STUDYMATCH_SECRET=secret)
    else:
        result, seen = start(monkeypatch, "--secret", secret)
    assert (result.exit_code, seen) == (2, [])
    assert "expect" in result.stderr
