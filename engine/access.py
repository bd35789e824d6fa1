"""Who is acting, and what they may do with whose things: the one place that decides."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from engine.errors import UserError
from engine.settings import settings

P = ParamSpec("P")
T = TypeVar("T")

READ = "read"  # see, open, learn from, download
CHANGE = "change"  # rename, make private, stop, resume, delete
ACTIONS = (READ, CHANGE)
OPERATOR, TEACHER, STUDENT, NOBODY = "operator", "teacher", "student", "nobody"
ROLES = (OPERATOR, TEACHER, STUDENT, NOBODY)
NOT_SIGNED_IN = "Nobody is signed in: sign in, then try again."
VARIABLE = "REPLAB_PERSON"  # tells a child process of the server for whom it works


@dataclass(frozen=True)
class Person:
    """Somebody who acts.

    Attributes:
        id: What things are marked with; empty for the operator and for nobody.
        name: What people call them; data, never a path.
        role: One of `ROLES`.
    """

    id: str
    name: str
    role: str


@dataclass(frozen=True)
class Ownership:
    """Whose a thing is.

    Attributes:
        owner: A person's id; empty for what belongs to the server, such as the built-in sets.
        private: Only its owner and teachers may see it.
    """

    owner: str = ""
    private: bool = False


THE_OPERATOR = Person("", "operator", OPERATOR)  # whoever has the machine: all of laptop mode, and a terminal
THE_VISITOR = Person("", "", NOBODY)
_acting: ContextVar[Person | None] = ContextVar("acting", default=None)
_resolver: Callable[[], Person] | None = None


def may(action: str, thing: Ownership, person: Person | None = None) -> bool:
    """Whether a person (who is acting, if None) may do this with a thing.

    The operator and teachers may do everything, nobody nothing. A student may do everything with their own
    things, and read those of the server and of others unless they are private.
    """
    person = person or me()
    if action not in ACTIONS or person.role not in ROLES or person.role == NOBODY:
        return False
    if person.role in (OPERATOR, TEACHER):
        return True
    if person.id and person.id == thing.owner:
        return True
    return action == READ and not thing.private


def require(action: str, thing: Ownership, what: str) -> None:
    """Refuse unless who is acting may.

    Args:
        action: READ or CHANGE.
        thing: Whose it is.
        what: What it is, for the sentence ("run", "data set").

    Raises:
        UserError: They may not. What they may not read is not said to exist.
    """
    if may(action, thing):
        return
    if action == READ or not may(READ, thing):
        raise UserError(f"There is no such {what}: it may have been deleted.")
    raise UserError(f"This {what} is somebody else's: only its owner and a teacher can change it.")


def me() -> Person:
    """Who is acting: as said by `acting_as`, else by the server for the page or request at hand.

    Without a server it is whoever has the machine, or the person for whom a server started this process.
    """
    if settings().mode != "class":
        return THE_OPERATOR
    person = _acting.get()
    if person is not None:
        return person
    if _resolver is not None:
        return _resolver()
    return person_with(os.environ.get(VARIABLE, ""))


def person_with(person_id: str) -> Person:
    """The person with this id: the operator for an empty one, a student for one who is not known any more."""
    if not person_id:
        return THE_OPERATOR
    from engine import people

    return people.find(person_id) or Person(person_id, "", STUDENT)


@contextmanager
def acting_as(person: Person) -> Iterator[None]:
    """What is done inside is done by this person."""
    token = _acting.set(person)
    try:
        yield
    finally:
        _acting.reset(token)


def as_me(work: Callable[P, T]) -> Callable[P, T]:
    """`work`, done for who is acting now in whichever thread it is called."""
    person = me()

    def carried(*args: P.args, **kwargs: P.kwargs) -> T:
        with acting_as(person):
            return work(*args, **kwargs)

    return carried


def resolve_by(resolver: Callable[[], Person] | None) -> None:
    """Let a server say who is acting; it must name the visitor where it does not know."""
    global _resolver
    _resolver = resolver


def environment(person_id: str | None = None) -> dict[str, str]:
    """What tells a child process for whom it works: who is acting, or the person named.

    Raises:
        UserError: Nobody is acting.
    """
    person = me()
    if person_id is None and person.role == NOBODY:
        raise UserError(NOT_SIGNED_IN)
    return {VARIABLE: person.id if person_id is None else person_id}


def mine(private: bool = False) -> dict[str, Any]:
    """The fields that mark a new thing as that of who is acting.

    Raises:
        UserError: Nobody is acting, such as when a session ended meanwhile.
    """
    person = me()
    if person.role == NOBODY:
        raise UserError(NOT_SIGNED_IN)
    return {"owner": person.id, "private": private}


def ownership(fields: Mapping[str, Any]) -> Ownership:
    """Whose a thing is, from the fields it is marked with; unmarked ones are the server's.

    A mark that is damaged hides the thing from all but teachers.
    """
    owner, private = fields.get("owner", ""), fields.get("private", False)
    if not isinstance(owner, str) or not isinstance(private, bool):
        return Ownership("", True)
    return Ownership(owner, private)
