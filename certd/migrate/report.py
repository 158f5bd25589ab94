"""What an import does, in words for a terminal; no secret is in them."""

from __future__ import annotations

from collections.abc import Sequence

from certd.migrate.plans import Proposal
from certd.text import printable

_TAKE_OUT = {
    "acme.sh": "acme.sh --remove -d NAME (with --ecc for NAME_ecc)",
    "certbot": "move renewal/NAME.conf away",
    "dehydrated": "remove their lines from domains.txt",
}


def lines(proposal: Proposal, starters: Sequence[str], *, dry: bool) -> list[str]:
    """The whole report. Lines that begin with + are what is made, with = what is there already."""
    found = proposal.installation
    head = f"{found.client} in {printable(str(found.directory), 400)}: "
    head += f"{_count(len(found.accounts), 'account')}, {_count(len(found.certificates), 'certificate')}; "
    head += f"{proposal.carried} can be renewed by certd."
    text = [head, "", f"State directory {proposal.state_dir}:", *_state(proposal), "", *_configuration(proposal)]
    if proposal.notes:
        text += ["", "What needs a person:"]
        subjects = dict.fromkeys(note.about for note in proposal.notes)
        ordered = [note for subject in subjects for note in proposal.notes if note.about == subject]
        text += [f"  * {note.about}: {note.text}." for note in ordered]
    text += ["", *_old_client(proposal, starters), "", *_next(proposal, dry=dry)]
    return text


def _state(proposal: Proposal) -> list[str]:
    text = []
    for one in proposal.accounts:
        url = printable(one.account.url or "not known yet", 300)
        text.append(f"  {'=' if one.there else '+'} accounts/{one.ca}/account.key: the account {url}")
    for planned in proposal.sets:
        leaf = planned.certificates.leaf
        until = f"serial {leaf.serial}, until {leaf.not_after:%Y-%m-%d}"
        text.append(f"  {'=' if planned.there else '+'} live/{planned.name}: {until}")
    return text or ["  nothing to take along"]


def _configuration(proposal: Proposal) -> list[str]:
    path = printable(str(proposal.config_path), 400)
    if not proposal.text:
        what = "already has all of it" if proposal.existing is not None else "is not made"
        return [f"Configuration {path}: {what}."]
    if proposal.existing is None:
        title = f"Configuration {path} (new):"
    else:
        title = f"Configuration {path} exists and is not changed. Add these lines to it, below the keys named:"
    return [title, *(f"  + {line}" for line in proposal.text.splitlines())]


def _old_client(proposal: Proposal, starters: Sequence[str]) -> list[str]:
    """Two clients must not renew the same names; one that has names left must not be ended either."""
    found = proposal.installation
    client, stay = found.client, len(found.certificates) - proposal.carried
    keep = f"Nothing in {printable(str(found.directory), 400)} was changed, and nothing of it is needed by certd."
    if stay:
        what = f"{_count(stay, 'certificate')} {'stays' if stay == 1 else 'stay'} with {client}, so it must go on."
        others = f"Take the others out of it before certd starts: {_TAKE_OUT[client]}."
        return [what, *([others] if proposal.carried else []), keep]
    if not starters:
        return [f"No cron line and no timer that starts {client} was found. If something does, it must end. {keep}"]
    return [
        f"End what starts {client} before certd starts; two clients must not renew the same names:",
        *(f"  ! {printable(text, 400)}" for text in starters),
        keep,
    ]


def _next(proposal: Proposal, *, dry: bool) -> list[str]:
    there = [one.there for one in proposal.accounts] + [one.there for one in proposal.sets]
    if not proposal.text and all(there):
        return ["There is nothing to be written."]
    if dry:
        return ["Dry run: nothing was written. Without --dry-run it is."]
    text = ["Written. Next: read the configuration, then `certd check`, and for each certificate that Apache serves"]
    text.append("`certd adopt NAME`, which shows the line for the virtual host. Then start certd.")
    return text


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
