"""The people of a class server: accounts, passwords, the class code, and who is signed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine import access, files
from engine.access import OPERATOR, STUDENT, TEACHER, Person
from engine.data import imports
from engine.errors import UserError
from engine.people import belongings, joining, passwords, sessions, store
from engine.people.store import Account
from engine.people.store import prepare as prepare
from engine.people.tries import TRIES, Key
from engine.people.tries import MustWait as MustWait

MOST_PEOPLE = 1000
WRONG = "This name and password do not go together: check both, then try again."


@dataclass(frozen=True)
class Profile:
    """What a list shows of a person.

    Attributes:
        id: As things are marked.
        name: As typed.
        role: "teacher" or "student".
        created: Seconds since 1970.
        blocked: Cannot sign in.
        provider: Who vouches for them; empty for those with a password of this server.
    """

    id: str
    name: str
    role: str
    created: float
    blocked: bool
    provider: str = ""


# looking


def find(person_id: str) -> Person | None:
    """The person with this id; None where there is none (any more)."""
    account = store.read(person_id)
    return account.person if account else None


def list_people() -> list[Profile]:
    """Everybody who has an account, by name; for teachers and the operator.

    Raises:
        UserError: A student asks.
    """
    _require_staff()
    return [profile(account) for account in store.read_all()]


def profile(account: Account) -> Profile:
    provider = account.subject[0] if account.subject else ""
    return Profile(account.id, account.name, account.role, account.created, account.blocked, provider)


def id_of(name: str) -> str:
    """The id of the person with this id, or of this name.

    Raises:
        UserError: There is none.
    """
    account = store.read(name) or store.named(name)
    if account is None:
        raise UserError(
            f"There is nobody called '{name[:60]}': python -m engine people list shows who is there."
        )
    return account.id


def has_teacher() -> bool:
    """Whether somebody is there who can let a class begin."""
    return any(account.role == TEACHER and not account.blocked for account in store.read_all())


def has_password(person_id: str) -> bool:
    """Whether the person has a password of this server."""
    account = store.read(person_id)
    return account is not None and account.password is not None


# accounts


def add(name: str, password: str, role: str = STUDENT) -> Person:
    """Make an account.

    Raises:
        UserError: The name is taken or no good, the password is no good, or who is acting may not.
    """
    _require_staff(of=role)
    return _add(name, password, role)


def join(name: str, password: str, class_code: str, address: str = "") -> Person:
    """Make one's own account as a student with the class code.

    Args:
        name: As it will be shown.
        password: At least 8 letters.
        class_code: As the teacher told it.
        address: Where the try comes from, for the limit of wrong ones.

    Raises:
        MustWait: Too many wrong codes came from there.
        UserError: The code is wrong or there is none, or as for `add`.
    """
    if not joining.is_open():
        raise UserError("Nobody can join at the moment: ask your teacher for a class code.")
    keys: list[Key] = [("code", address)]
    TRIES.begin(keys)
    if not joining.is_right(class_code):
        TRIES.wrong(keys)
        raise UserError("This is not the class code: ask your teacher, then try again.")
    TRIES.right(keys)
    return _add(name, password, STUDENT)


def _add(name: str, password: str, role: str) -> Person:
    name = store.clean_name(name)
    _check_password(password, name)
    kept = passwords.digest(password)
    with store.locked():
        _check_free(name)
        account = Account(files.new_id(), name, role, store.now(), password=kept)
        store.keep(account)
    return account.person


def remove(person_id: str, with_everything: bool = False) -> None:
    """Delete an account and end its sessions.

    Args:
        person_id: Whose.
        with_everything: Delete their data sets and runs, too.

    Raises:
        UserError: There is no such person, who is acting may not, or things of theirs are left.
    """
    account = _manageable(person_id)
    if with_everything:  # first, so that nothing new begins meanwhile
        block(account.id)
        imports.drop_imports_of(account.id)
    left = belongings.belongings_of(account.id)
    if left and not with_everything:
        raise UserError(
            f"{account.name} has {left} here: delete them first, or remove the account with everything."
        )
    belongings.remove_belongings(left)
    belongings.forget_limits(account.id)
    with store.locked():
        store.drop(account.id)
    sessions.end_all(account.id)


def set_role(person_id: str, role: str) -> None:
    """Make somebody a teacher or a student; only the operator can.

    Raises:
        UserError: There is no such person or role, or who is acting may not.
    """
    if role not in (TEACHER, STUDENT):
        raise UserError(f"A role is {TEACHER} or {STUDENT}.")
    if access.me().role != OPERATOR:
        raise UserError("Only the operator can change roles: python -m engine people role.")
    _change(person_id, role=role)


def set_password(person_id: str, password: str) -> None:
    """Give somebody a new password, which ends all their sessions.

    Raises:
        UserError: There is no such person, the password is no good, or who is acting may not.
    """
    account = _manageable(person_id)
    _set_password(account, password)


def change_password(person_id: str, old: str, new: str, address: str = "") -> None:
    """Change one's own password, which ends all one's sessions.

    Raises:
        MustWait: Too many wrong ones were tried.
        UserError: The old one is wrong or the new one no good.
    """
    account = _account(person_id)
    if account.password is None:
        raise UserError("You sign in through a provider: change your password there.")
    if check(account.name, old, address) is None:
        raise UserError("The present password is wrong: try again.")
    if old == new:
        raise UserError("The new password is the present one: choose another.")
    _set_password(account, new)


def _set_password(account: Account, password: str) -> None:
    if account.subject is not None:
        raise UserError(f"{account.name} signs in through a provider and has no password here.")
    _check_password(password, account.name)
    _change(account.id, password=passwords.digest(password))
    sessions.end_all(account.id)


def block(person_id: str, blocked: bool = True) -> None:
    """Keep somebody from signing in, at once and everywhere, or let them in again.

    Raises:
        UserError: There is no such person, or who is acting may not.
    """
    account = _manageable(person_id)
    _change(account.id, blocked=blocked)
    if blocked:
        sessions.end_all(account.id)


def unblock(person_id: str) -> None:
    block(person_id, False)


def _change(person_id: str, **fields: object) -> None:
    with store.locked():
        store.keep(replace(_account(person_id), **fields))  # type: ignore[arg-type]


# signing in


def check(name: str, password: str, address: str = "") -> Person | None:
    """Whose name and password these are; None where they are nobody's, in the same time.

    Args:
        name: As typed.
        password: As typed.
        address: Where the try comes from, for the limit of wrong ones.

    Raises:
        MustWait: There were too many wrong tries for this name or from there.
    """
    folded = store.folded(name)[:200]
    keys: list[Key] = [("name", folded), ("pair", f"{folded} {address}")]
    keys += [("address", address)] if address else []
    TRIES.begin(keys)
    account = store.named(name)
    right = passwords.matches(password, account.password if account else None)
    if account is None or not right or account.blocked:
        TRIES.wrong(keys)
        return None
    TRIES.right(keys)
    return account.person


def vouched(issuer: str, subject: str, name: str) -> Person:
    """The person whom a provider of identities vouches for; a student, made at the first time.

    Args:
        issuer: The provider.
        subject: Whom it means: unique there, for ever.
        name: What they might be called; made unique here.

    Raises:
        UserError: The person is blocked here.
    """
    with store.locked():
        found = next((one for one in store.read_all() if one.subject == (issuer, subject)), None)
        if found is None:
            found = Account(files.new_id(), _free_name(name), STUDENT, store.now(), subject=(issuer, subject))
            store.keep(found)
    if found.blocked:
        raise UserError("This account is blocked here: ask your teacher.")
    return found.person


def _free_name(name: str) -> str:
    visible = "".join(letter if letter.isprintable() else " " for letter in name)
    try:
        wanted = store.clean_name(" ".join(visible.split())[: store.MAX_NAME])
    except UserError:
        wanted = "Student"
    taken = {store.folded(account.name) for account in store.read_all()}
    if len(taken) >= MOST_PEOPLE:
        raise UserError(f"There are {MOST_PEOPLE} accounts, the most there can be: ask your teacher.")
    numbered = (f"{wanted[: store.MAX_NAME - 5]} {count}" for count in range(2, MOST_PEOPLE + 2))
    return next(one for one in (wanted, *numbered) if store.folded(one) not in taken)


# the class code


def new_code() -> str:
    """A new class code, told this once.

    Raises:
        UserError: A student asks.
    """
    _require_staff()
    return joining.new()


def close_code() -> None:
    """Let nobody join any more.

    Raises:
        UserError: A student asks.
    """
    _require_staff()
    joining.close()


def code_is_open() -> bool:
    """Whether people may join with a class code."""
    return joining.is_open()


# who may, and what is good


def _require_staff(of: str = STUDENT) -> None:
    """Teachers look after students, the operator after everybody."""
    role = access.me().role
    if role != OPERATOR and not (role == TEACHER and of == STUDENT):
        raise UserError("Only a teacher or the operator can do this, and only the operator with teachers.")


def _account(person_id: str) -> Account:
    account = store.read(person_id)
    if account is None:
        raise UserError("There is no such person: the account may have been removed.")
    return account


def _manageable(person_id: str) -> Account:
    account = _account(person_id)
    _require_staff(of=account.role)
    return account


def _check_free(name: str) -> None:
    people: Sequence[Account] = store.read_all()
    if any(store.folded(account.name) == store.folded(name) for account in people):
        raise UserError(f"The name '{name}' is taken: choose another, such as with your surname.")
    if len(people) >= MOST_PEOPLE:
        raise UserError(f"There are {MOST_PEOPLE} accounts, the most there can be: remove some first.")


def _check_password(password: str, name: str) -> None:
    passwords.check(password, name)
    if joining.could_be(password) and joining.is_right(password):
        raise UserError("The password is the class code, which everybody knows: choose another.")
