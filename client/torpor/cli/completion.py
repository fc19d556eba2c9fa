"""completion: what a shell needs to complete `torpor`, made from the table of commands.

`eval "$(torpor completion bash)"`, or the output in the shell's folder of completions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torpor import wire
from torpor.cli.table import COMMANDS, Command, arguments_of

if TYPE_CHECKING:
    import argparse


def completion(args: argparse.Namespace) -> int:
    """Print the completion for `args.shell`."""
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell]())
    return wire.EX_OK


def _options(command: Command) -> list[str]:
    named = [name for argument in arguments_of(command) for name in argument.names if name.startswith("--")]
    return [*named, "--help"]


def _choices(command: Command) -> list[str]:
    return [choice for argument in arguments_of(command) for choice in argument.choices]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _bash() -> str:
    arms = "\n".join(f"        {row.name}) words='{' '.join(_options(row) + _choices(row))}' ;;" for row in COMMANDS)
    names = " ".join(row.name for row in COMMANDS)
    # The loop finds the command, and for `hold` the place where another command's line begins.
    return f"""_torpor() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" command='' words='' at
    for ((at = 1; at < COMP_CWORD; at++)); do
        case "${{COMP_WORDS[at]}}" in
        --) COMPREPLY=($(compgen -c -f -- "$current")); return ;;
        --home | --timeout) ((at++)) ;;
        -*) ;;
        *) [ -n "$command" ] || command="${{COMP_WORDS[at]}}" ;;
        esac
    done
    if [ "$previous" = --home ]; then
        COMPREPLY=($(compgen -d -- "$current"))
        return
    fi
    case "$command" in
        '') words='{names} --home --timeout --help --version' ;;
{arms}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -F _torpor torpor"""


def _zsh() -> str:
    rows = "\n".join(f"        {_quoted(row.name + ':' + row.help.replace(':', ' '))}" for row in COMMANDS)
    arms = "\n".join(f"        {row.name}) choices=({' '.join(_options(row) + _choices(row))}) ;;" for row in COMMANDS)
    return f"""#compdef torpor
_torpor() {{
    local -a commands choices
    commands=(
{rows}
    )
    if (( CURRENT == 2 )); then
        _describe 'command' commands
        return
    fi
    if (( ${{words[(i)--]}} < CURRENT )); then
        _normal
        return
    fi
    if [[ "${{words[CURRENT - 1]}}" == --home ]]; then
        _directories
        return
    fi
    case "${{words[2]}}" in
{arms}
    esac
    compadd -- $choices
}}
compdef _torpor torpor"""


def _fish() -> str:
    lines = ["complete -c torpor -f"]
    for row in COMMANDS:
        lines.append(f"complete -c torpor -n __fish_use_subcommand -a {row.name} -d {_quoted(row.help)}")
        seen = f"-n '__fish_seen_subcommand_from {row.name}'"
        for argument in arguments_of(row):
            if argument.choices:
                lines.append(f"complete -c torpor {seen} -a '{' '.join(argument.choices)}'")
            for name in argument.names:
                if name.startswith("--"):
                    takes = "" if argument.reads is None else " -r"
                    lines.append(f"complete -c torpor {seen} -l {name[2:]}{takes} -d {_quoted(argument.help)}")
    return "\n".join(lines)
