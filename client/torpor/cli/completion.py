"""completion: what a shell needs to complete `torpor`, made from the table of commands.

`eval "$(torpor completion bash)"`, or the output in the shell's folder of completions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torpor import wire
from torpor.cli.table import COMMANDS, GROUPS, Command, arguments_of, members, singles

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def completion(args: argparse.Namespace) -> int:
    """Print the completion for `args.shell`."""
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell]())
    return wire.EX_OK


# The names of flows, as the daemon's executable knows them; none where it cannot say.
_FLOWS = """_torpor_flows() {
    torpor flows --json --timeout 2 2>/dev/null | grep -o '"name": *"[^"]*"' | cut -d '"' -f 4
}"""
# The names of agents, where torpor is up: asking wakes nobody. Only those in which no shell sees anything else: a name
# is whatever its agent says, and a shell may evaluate what it completes with.
_AGENTS = """_torpor_agents() {
    torpor agent ls --json --timeout 2 2>/dev/null |
        grep -o '"agent_id": *"[A-Za-z0-9_.:/@+-]*"' | cut -d '"' -f 4
}"""
_ZSH_AGENTS = ' ${(f)"$(_torpor_agents)"}'
_FISH_AGENTS = """function __torpor_agents
    torpor agent ls --json --timeout 2 2>/dev/null | string match -rga '"agent_id": *"([A-Za-z0-9_.:/@+-]*)"'
end"""
_ZSH_FLOWS = ' ${(f)"$(_torpor_flows)"}'
_FISH_FLOWS = """function __torpor_flows
    command -q torpor; and torpor flows --json --timeout 2 2>/dev/null | string match -rga '"name": *"([^"]*)"'
end"""


def _options(command: Command) -> list[str]:
    named = [name for argument in arguments_of(command) for name in argument.names if name.startswith("--")]
    return [*named, "--help"]


def _choices(command: Command) -> list[str]:
    return [choice for argument in arguments_of(command) for choice in argument.choices]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _takes_files(command: Command) -> bool:
    return any(argument.is_file for argument in arguments_of(command))


def _takes_flows(command: Command) -> bool:
    return any(argument.is_flow for argument in arguments_of(command))


def _takes_agents(command: Command) -> bool:
    return any(argument.is_agent for argument in arguments_of(command))


def _subcommands(group: str) -> list[str]:
    return [row.name.split()[1] for row in members(group)]


def _words(row: Command) -> str:
    return " ".join(_options(row) + _choices(row))


def _bash() -> str:
    arms = "\n".join(
        f"        {_quoted(row.name)}) words={_quoted(_words(row))}"
        f"{'; files=-f' if _takes_files(row) else ''}{'; flows=1' if _takes_flows(row) else ''}"
        f"{'; agents=1' if _takes_agents(row) else ''} ;;"
        for row in COMMANDS
    )
    group_arms = "\n".join(
        f"        {group}) words={_quoted(' '.join([*_subcommands(group), _words(members(group)[0])]))} ;;"
        for group in GROUPS
    )
    names = " ".join([*(row.name for row in singles()), *GROUPS])
    # The loop finds the command, one word or a group's two, and for `hold` the place where another command's line
    # begins.
    # Bash parts words at a colon, which names of agents have: then it wants only what follows it.
    return f"""{_FLOWS}
{_AGENTS}
_torpor() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" command=''
    local words='' files='' flows='' agents='' at before=''
    for ((at = 1; at < COMP_CWORD; at++)); do
        case "${{COMP_WORDS[at]}}" in
        --) COMPREPLY=($(compgen -c -f -- "$current")); return ;;
        --home | --timeout) ((at++)) ;;
        -*) ;;
        *)
            case "$command" in
            '') command="${{COMP_WORDS[at]}}" ;;
            {" | ".join(GROUPS)}) command="$command ${{COMP_WORDS[at]}}" ;;
            esac
            ;;
        esac
    done
    if [ "$previous" = --home ]; then
        COMPREPLY=($(compgen -d -- "$current"))
        return
    fi
    case "$command" in
        '') words='{names} --home --timeout --help --version' ;;
{arms}
{group_arms}
    esac
    if [[ "$flows" && "$current" != -* ]]; then
        words="$words $(_torpor_flows)"
    fi
    if [[ "$agents" && "$current" != -* ]]; then
        words="$words $(_torpor_agents)"
        for ((at = COMP_CWORD; at > 1; at--)); do
            [[ "${{COMP_WORDS[at]}}" == *: || "${{COMP_WORDS[at - 1]}}" == *: ]] || break
            before="${{COMP_WORDS[at - 1]}}$before"
        done
        [[ "$current" != *: ]] || {{ before="$before$current"; current=''; }}
    fi
    COMPREPLY=($(compgen $files -W "$words" -- "$before$current"))
    [ -z "$before" ] || COMPREPLY=("${{COMPREPLY[@]#"$before"}}")
}}
complete -F _torpor torpor"""


def _zsh() -> str:
    rows = {row.name: row.help for row in singles()} | GROUPS
    arms = "\n".join(
        f"        {_quoted(row.name)}) choices=({_words(row)}{_ZSH_FLOWS if _takes_flows(row) else ''}"
        f"{_ZSH_AGENTS if _takes_agents(row) else ''})"
        f"{'; _files' if _takes_files(row) else ''} ;;"
        for row in COMMANDS
    )
    # A group's name alone is its `ls`, and takes the options of that.
    group_arms = "\n".join(
        f"        {group}) commands=(\n{_described({row.name.split()[1]: row.help for row in members(group)})}\n"
        f"            ); choices=({_words(members(group)[0])}); (( CURRENT == 3 )) && _describe 'command' commands ;;"
        for group in GROUPS
    )
    return f"""#compdef torpor
{_FLOWS}
{_AGENTS}
_torpor() {{
    local -a commands choices
    local command="${{words[2]}}"
    commands=(
{_described(rows)}
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
    if (( CURRENT > 3 )) && [[ "$command" == ({"|".join(GROUPS)}) && "${{words[3]}}" != -* ]]; then
        command="$command ${{words[3]}}"
    fi
    case "$command" in
{arms}
{group_arms}
    esac
    compadd -- $choices
}}
compdef _torpor torpor"""


def _described(rows: Mapping[str, str]) -> str:
    return "\n".join(f"        {_quoted(name + ':' + text.replace(':', ' '))}" for name, text in rows.items())


def _fish() -> str:
    lines = ["complete -c torpor -f", _FISH_FLOWS, _FISH_AGENTS]
    for name, text in ({row.name: row.help for row in singles()} | GROUPS).items():
        lines.append(f"complete -c torpor -n __fish_use_subcommand -a {name} -d {_quoted(text)}")
    groups = " ".join(GROUPS)
    for row in COMMANDS:
        first, _, second = row.name.partition(" ")
        if second:
            bare = f"__fish_seen_subcommand_from {first}; and not __fish_seen_subcommand_from {_among(first)}"
            lines.append(f"complete -c torpor -n '{bare}' -a {second} -d {_quoted(row.help)}")
            seen = f"-n '__fish_seen_subcommand_from {first}; and __fish_seen_subcommand_from {second}'"
        else:  # not within a group: `start` is one of theirs, too
            seen = f"-n '__fish_seen_subcommand_from {first}; and not __fish_seen_subcommand_from {groups}'"
        lines += _fish_arguments(row, seen)
    return "\n".join(lines)


def _among(group: str) -> str:
    return " ".join(_subcommands(group))


def _fish_arguments(row: Command, seen: str) -> list[str]:
    lines = [f"complete -c torpor {seen} -F"] if _takes_files(row) else []
    if _takes_flows(row):
        lines.append(f"complete -c torpor {seen} -a '(__torpor_flows)'")
    for argument in arguments_of(row):
        options = [name for name in argument.names if name.startswith("--")]
        choices = f" -a '{' '.join(argument.choices)}'" if argument.choices else ""
        if argument.is_agent:
            choices = " -a '(__torpor_agents)'"
        if choices and not options:
            lines.append(f"complete -c torpor {seen}{choices}")
        for name in options:
            takes = "" if argument.reads is None else " -r"
            lines.append(f"complete -c torpor {seen} -l {name[2:]}{takes}{choices} -d {_quoted(argument.help)}")
    return lines
