"""What to do next for an order: RFC 8555 section 7.1.6 as one pure function. PURE: no I/O, no clock.

The CA owns the state; `next_step` is asked anew with objects freshly read, and remembers nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from certd.model.orders import Download, Finalize, OrderFailed, OrderStep, Poll, Present, Respond, Task, WaitReady

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence
    from datetime import timedelta

    from certd.acme.messages import Authorization, Challenge, Order

    SolverFor = Callable[[str, bool], str | None]
    """Identifier (without ``*.``) and whether it is a wildcard -> the challenge type wanted for it, or None."""

NO_CHALLENGE = "certd:no-challenge"
"""`OrderFailed.problem_type`, ours: no configured way of proving control of the identifier is on offer."""

AUTHORIZATION_GONE = "certd:authorization-gone"
"""`OrderFailed.problem_type`, ours: an authorization is expired, revoked or deactivated; a new order helps."""

# RFC 8555 section 7.1.6: the states that an authorization never leaves for `valid` again.
_GONE = frozenset({"expired", "revoked", "deactivated"})


def next_step(
    order: Order,
    authorizations: Sequence[Authorization],
    *,
    solver_for: SolverFor,
    presented: Container[str],
    not_ready: Container[str] = (),
    responded: Container[str] = (),
    retry_after: timedelta | None = None,
) -> OrderStep:
    """The one thing to do next for `order`.

    `authorizations` are those of the order; they matter while it is pending, and tell why it is invalid. The containers
    hold tokens: `presented` are in place, `not_ready` of these are not published yet (dns-01), `responded` were already
    reported to the CA. `retry_after` is the CA's wish for the next poll.
    """
    match order.status:
        case "pending":
            return _pending(authorizations, solver_for, presented, not_ready, responded, retry_after)
        case "ready":
            # RFC 8555 section 7.4: "ready": the server agrees that the requirements have been fulfilled; finalize.
            return Finalize(order.finalize)
        case "processing":
            # RFC 8555 section 7.4: "processing": the certificate is being issued; GET after the given Retry-After.
            return Poll(processing=True, retry_after=retry_after)
        case "valid":
            # RFC 8555 section 7.4: "valid": the server has issued the certificate; download it from `certificate`.
            # Without that URL there is nothing to have yet, whatever the status claims.
            if order.certificate is None:
                return Poll(processing=True, retry_after=retry_after)
            return Download(order.certificate)
        case "invalid":
            # RFC 8555 section 7.4: "invalid": the certificate will not be issued; consider this order abandoned.
            return _why_invalid(order, authorizations)
        case _:
            # A status of a later specification: nothing certd could do about it, and no reason to give up the order.
            return Poll(processing=False, retry_after=retry_after)


def _pending(
    authorizations: Sequence[Authorization],
    solver_for: SolverFor,
    presented: Container[str],
    not_ready: Container[str],
    responded: Container[str],
    retry_after: timedelta | None,
) -> OrderStep:
    # One failed authorization makes the whole order invalid (RFC 8555 section 7.1.6): no other needs to be tried.
    failures = [failure for one in authorizations if (failure := _authorization_failure(one)) is not None]
    if failures:
        return _joined(failures)
    tasks: list[Task] = []
    for authorization in authorizations:
        if authorization.status != "pending":
            continue  # valid, or unknown to us: both are the CA's to move on from
        wanted = _wanted_challenge(authorization, solver_for)
        if isinstance(wanted, OrderFailed):
            return wanted
        if wanted.status == "pending":
            tasks.append(_task(authorization, wanted))
        # RFC 8555 section 7.1.6: "processing" challenges are being validated; "valid" ones make the authorization
        # valid in a moment. Both mean a poll, as does a status that we do not know.
    return _challenge_step(tasks, presented, not_ready, responded) or Poll(processing=False, retry_after=retry_after)


def _challenge_step(
    tasks: list[Task], presented: Container[str], not_ready: Container[str], responded: Container[str]
) -> Present | WaitReady | Respond | None:
    # All at once: what is presented together is published together, and the CA validates in parallel.
    if missing := tuple(task for task in tasks if task.token not in presented):
        return Present(missing)
    # RFC 8555 section 8.2: do not respond until the server's queries will succeed.
    if waiting := tuple(task for task in tasks if task.token in not_ready and task.token not in responded):
        return WaitReady(waiting)
    # Some CAs leave a challenge "pending" until it is decided; it is not to be triggered at every poll.
    if due := tuple(task for task in tasks if task.token not in responded):
        return Respond(due)
    return None


def _wanted_challenge(authorization: Authorization, solver_for: SolverFor) -> Challenge | OrderFailed:
    name = authorization.identifier.value
    shown = f"*.{name}" if authorization.wildcard else name
    wanted = solver_for(name, authorization.wildcard)
    if wanted is None:
        return OrderFailed(
            NO_CHALLENGE, f"{shown}: no challenge is configured for this name; name one for it", identifier=name
        )
    for challenge in authorization.challenges:
        if challenge.type != wanted:
            continue
        if challenge.status == "invalid":
            # RFC 8555 section 7.1.6: a challenge that is invalid stays so, and takes its authorization with it.
            return _challenge_failure(authorization, challenge)
        return challenge
    offered = ", ".join(sorted({one.type for one in authorization.challenges})) or "none"
    return OrderFailed(
        NO_CHALLENGE,
        f"{shown}: the CA does not offer {wanted} for this name; it offers: {offered}. Configure one of these",
        identifier=name,
    )


def _task(authorization: Authorization, challenge: Challenge) -> Task:
    return Task(
        identifier=authorization.identifier.value,
        wildcard=authorization.wildcard,
        type=challenge.type,
        url=challenge.url,
        token=challenge.token,
        authorization_url=authorization.url,
    )


def _why_invalid(order: Order, authorizations: Iterable[Authorization]) -> OrderFailed:
    # The most telling first: a challenge's error says what the CA saw, the authorization only that it failed, and the
    # order's own error often merely that some authorization did.
    failures = [failure for one in authorizations if (failure := _authorization_failure(one)) is not None]
    told = [failure for failure in failures if failure.problem_type]
    if told:
        return _joined(told)
    if order.error is not None:
        identifier, text = "", order.error.detail
        if order.error.subproblems:
            identifier, reason = order.error.subproblems[0]
            text = f"{text}; {identifier}: {reason}" if identifier else f"{text}; {reason}"
        return OrderFailed(order.error.type, text, order.error.status, identifier or None)
    if failures:
        return _joined(failures)
    return OrderFailed("", "the order is invalid and the CA does not say why")


def _authorization_failure(authorization: Authorization) -> OrderFailed | None:
    name = authorization.identifier.value
    if authorization.status == "invalid":
        for challenge in authorization.challenges:
            if challenge.error is not None:
                return _challenge_failure(authorization, challenge)
        return OrderFailed(
            "", f"{name}: the CA could not validate it and does not say why", identifier=name, validation=True
        )
    if authorization.status in _GONE:
        return OrderFailed(
            AUTHORIZATION_GONE, f"{name}: the authorization is {authorization.status}", identifier=name, validation=True
        )
    return None


def _challenge_failure(authorization: Authorization, challenge: Challenge) -> OrderFailed:
    name, error = authorization.identifier.value, challenge.error
    if error is None:
        return OrderFailed(
            "", f"{name}: {challenge.type} failed and the CA does not say why", identifier=name, validation=True
        )
    return OrderFailed(error.type, f"{name}: {challenge.type}: {error.detail}", error.status, name, validation=True)


def _joined(failures: list[OrderFailed]) -> OrderFailed:
    first, *others = failures
    if not others:
        return first
    names = ", ".join(str(other.identifier) for other in others[:5])
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return OrderFailed(
        first.problem_type, f"{first.text} (also failed: {names}{more})", first.status, first.identifier, True
    )
