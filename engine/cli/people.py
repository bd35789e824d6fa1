"""`people`: who may use a class server, their passwords, and the code to join with."""

from __future__ import annotations

import argparse
import getpass
import sys
from dataclasses import asdict

from engine import people
from engine.access import STUDENT, TEACHER
from engine.cli.output import Commands, command, group, moment, print_json, print_table, say
from engine.errors import UserError


def add(commands: Commands) -> None:
    group_ = group(commands, "people", "accounts of a class server, and the code to join it with")
    command(group_, "list", "list who has an account", list_people)
    parser = named(group_, "add", "make an account", make)
    parser.add_argument("--teacher", action="store_true", help="may see, stop and remove everything")
    from_stdin(parser)
    parser = named(group_, "remove", "delete an account", remove)
    parser.add_argument("--with-everything", action="store_true", help="with their data sets and runs")
    parser = named(group_, "role", "make somebody a teacher or a student", role)
    parser.add_argument("role", choices=(TEACHER, STUDENT))
    from_stdin(named(group_, "password", "give somebody a new password; signs them out", password))
    named(group_, "block", "sign somebody out and keep them out", block)
    named(group_, "unblock", "let somebody in again", unblock)
    parser = command(group_, "code", "tell whether people may join with a class code", code)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--new", action="store_true", help="make a new code, which is shown this once")
    how.add_argument("--close", action="store_true", help="let nobody join any more")


def named(commands: Commands, name: str, help: str, run: object) -> argparse.ArgumentParser:
    parser = command(commands, name, help, run)
    parser.add_argument("name", help="as shown by `people list`")
    return parser


def from_stdin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input, not from a prompt",
    )


def list_people(args: argparse.Namespace) -> None:
    found = people.list_people()
    if args.json:
        for one in found:
            print_json(one)
        return
    rows = [
        (one.name, one.role, "blocked" if one.blocked else "", one.provider, moment(one.created), one.id)
        for one in found
    ]
    empty = "Nobody yet: python -m engine people add NAME --teacher"
    print_table(("NAME", "ROLE", "STATE", "SIGNS IN AT", "SINCE", "ID"), rows, empty)


def make(args: argparse.Namespace) -> None:
    person = people.add(args.name, typed_password(args), TEACHER if args.teacher else STUDENT)
    told(args, person.id, f"{person.name} is a {person.role} now.")


def remove(args: argparse.Namespace) -> None:
    person = people.id_of(args.name)
    people.remove(person, with_everything=args.with_everything)
    if args.json:
        print_json({"removed": person})
    else:
        say(f"{args.name} has no account any more.")


def role(args: argparse.Namespace) -> None:
    person = people.id_of(args.name)
    people.set_role(person, args.role)
    told(args, person, f"{args.name} is a {args.role} now.")


def password(args: argparse.Namespace) -> None:
    person = people.id_of(args.name)
    people.set_password(person, typed_password(args))
    told(args, person, f"{args.name} has a new password and is signed out everywhere.")


def block(args: argparse.Namespace) -> None:
    person = people.id_of(args.name)
    people.block(person)
    told(args, person, f"{args.name} is signed out and cannot sign in.")


def unblock(args: argparse.Namespace) -> None:
    person = people.id_of(args.name)
    people.unblock(person)
    told(args, person, f"{args.name} can sign in again.")


def code(args: argparse.Namespace) -> None:
    made = people.new_code() if args.new else None
    if args.close:
        people.close_code()
    if args.json:
        print_json({"open": people.code_is_open(), "code": made})
    elif made:
        print(made)
        say("Tell the class; it is not shown again. The code before it is no longer good.")
    else:
        print("open" if people.code_is_open() else "closed")


def told(args: argparse.Namespace, person_id: str, sentence: str) -> None:
    if args.json:
        print_json(next(asdict(one) for one in people.list_people() if one.id == person_id))
    else:
        say(sentence)


def typed_password(args: argparse.Namespace) -> str:
    """A new password, never from the command line, where other users of the machine could read it.

    Raises:
        UserError: There is none, or two that differ.
    """
    if args.password_stdin:
        text = sys.stdin.readline().rstrip("\r\n")
        if not text:
            raise UserError("There is no password on standard input: give one line.")
        return text
    if not sys.stdin.isatty():
        raise UserError("There is no terminal to ask for the password: use --password-stdin.")
    text = getpass.getpass("Password (at least 8 letters; 12 or more are better): ")
    if getpass.getpass("Once more: ") != text:
        raise UserError("The two passwords are not the same: try again.")
    return text
