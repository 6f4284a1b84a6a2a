"""`sensord completion`: print the completion for a shell, or the manual page, from the parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import sensord
from sensord.cli.catalog import DESCRIPTION, GROUPS, parser_of
from sensord.cli.statuses import STATUS_HELP

__all__ = ["configure", "manual", "run", "script"]

KINDS = ("bash", "zsh", "fish", "man")

EPILOG = """\
bash: eval "$(sensord completion bash)"        in ~/.bashrc
zsh:  eval "$(sensord completion zsh)"         in ~/.zshrc, after compinit
fish: sensord completion fish | source         in ~/.config/fish/config.fish
man:  sensord completion man > sensord.1
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("shell", choices=KINDS, help="a shell, or man for the manual page")


def run(options: argparse.Namespace) -> int:
    """Print it."""
    print(manual() if options.shell == "man" else script(options.shell))
    return 0


def script(shell: str) -> str:
    """Return the completion for a shell."""
    match shell:
        case "bash":
            return _bash()
        case "zsh":
            return f"autoload -U +X bashcompinit && bashcompinit\n{_bash()}"
        case _:
            return _fish()


def _actions(name: str) -> Iterator[argparse.Action]:
    parser, _ = parser_of(name)
    yield from parser._actions  # noqa: SLF001  # argparse has no other list of them


def _words(name: str) -> list[str]:
    """Return the long options of a command, and the words that its arguments may be."""
    words: list[str] = []
    for action in _actions(name):
        if action.help is argparse.SUPPRESS:
            continue
        words += [one for one in action.option_strings if one.startswith("--")]
        if not action.option_strings and action.choices:
            words += [str(one) for one in action.choices]
    return words


def _names() -> list[str]:
    return [name for group in GROUPS.values() for name in group]


def _bash() -> str:
    cases = "\n".join(f"    {name}) words='{' '.join(_words(name))}' ;;" for name in _names())
    return f"""\
_sensord() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} words
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '{" ".join(_names())} --help --version' -- "$current"))
    return
  fi
  case ${{COMP_WORDS[1]}} in
{cases}
    *) words= ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _sensord sensord"""


def _fish() -> str:
    lines = ["complete -c sensord -f -n __fish_use_subcommand -l help -d 'Show the commands'"]
    for group in GROUPS.values():
        for name, entry in group.items():
            lines.append(
                f"complete -c sensord -f -n __fish_use_subcommand -a {name}"
                f" -d {_quoted(entry.summary)}"
            )
            for word in _words(name):
                seen = f"-n '__fish_seen_subcommand_from {name}'"
                form = f"-l {word[2:]}" if word.startswith("--") else f"-a {word}"
                lines.append(f"complete -c sensord {seen} {form}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def manual() -> str:
    """Return the manual page, for man(1)."""
    lines = [
        f'.TH SENSORD 1 "" "sensord {sensord.__version__}" "User Commands"',
        ".SH NAME",
        f"sensord \\- {_roff(DESCRIPTION[0].lower() + DESCRIPTION[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        ".B sensord",
        "\\fICOMMAND\\fR [\\fIOPTION\\fR ...]",
    ]
    for title, group in GROUPS.items():
        lines.append(f".SH {title.upper()}")
        for name, entry in group.items():
            lines += [f".SS sensord {name}", f"{_roff(_capital(entry.summary))}."]
            for action in _actions(name):
                lines += _option(action)
            lines += [".PP", "Example:", ".RS", f".B {_roff(entry.example)}", ".RE"]
    lines += [".SH EXIT STATUS", _roff(_capital(STATUS_HELP.partition(": ")[2].strip()) + ".")]
    lines += [
        ".SH ENVIRONMENT",
        ".TP",
        ".B SENSORD_URL",
        "The daemon: a host, host:port, ws://, wss:// or unix:/path.",
        ".TP",
        ".B SENSORD_TOKEN",
        "The token to send.",
        ".TP",
        ".B NO_COLOR",
        "Colours are left out if it is set.",
    ]
    return "\n".join(lines)


def _option(action: argparse.Action) -> list[str]:
    if action.help is argparse.SUPPRESS or "--help" in action.option_strings:
        return []
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest
    if action.option_strings:
        value = "" if action.nargs == 0 else f" \\fI{_roff(metavar)}\\fR"
        names = ", ".join(f"\\fB{_roff(one)}\\fR" for one in action.option_strings)
        names += value
    else:
        names = f"\\fI{_roff(metavar)}\\fR"
    text = (action.help or "").replace("%%", "%")
    if "%(default)s" in text:
        text = text.replace("%(default)s", str(action.default))
    return [".TP", names, _roff(text)] if text else [".TP", names]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _roff(text: str) -> str:
    """Write a text so that roff prints it as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("\n", " ")
    return f"\\&{text}" if text[:1] in {".", "'"} else text
