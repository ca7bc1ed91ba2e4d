"""A method of a client's class that is wrapped, beside others who wrap it too."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from access_grants_provider.sdk.wrapped_method import WrappedMethod


def doubling(method: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self: 2 * method(self)


@pytest.fixture
def client() -> Any:
    """A client of a class of its own, whose base class has another method."""

    class Base:
        def inherited(self) -> int:
            return 10

    class Client(Base):
        def own(self) -> int:
            return 1

    return Client()


def lay_over(client: Any, name: str = "own") -> Callable[..., int]:
    """Wrap a method as another library does: add 100 to what it returns."""
    owner = type(client)
    method = getattr(owner, name)

    def adding(self: Any) -> Any:
        return method(self) + 100

    setattr(owner, name, adding)
    return adding


def test_it_is_wrapped_from_attach_to_detach(client: Any) -> None:
    owner = type(client)
    before = owner.own
    wrapped = WrappedMethod(owner, "own", doubling)
    assert client.own() == 1
    wrapped.attach()
    assert client.own() == 2
    wrapped.detach()
    assert client.own() == 1
    assert owner.own is before
    wrapped.detach()
    assert owner.own is before


def test_an_inherited_method_is_the_base_class_s_again(client: Any) -> None:
    owner = type(client)
    wrapped = WrappedMethod(owner, "inherited", doubling)
    wrapped.attach()
    assert client.inherited() == 20
    assert owner.__bases__[0]().inherited() == 10
    wrapped.detach()
    assert client.inherited() == 10
    assert "inherited" not in vars(owner)


def test_to_attach_twice_wraps_once(client: Any) -> None:
    wrapped = WrappedMethod(type(client), "own", doubling)
    wrapped.attach()
    wrapped.attach()
    assert client.own() == 2
    wrapped.detach()
    assert client.own() == 1


def test_a_wrapper_laid_over_it_later_stays_and_calls_are_passed_on(client: Any) -> None:
    wrapped = WrappedMethod(type(client), "own", doubling)
    wrapped.attach()
    others = lay_over(client)
    assert client.own() == 102
    wrapped.detach()
    assert type(client).own is others
    assert client.own() == 101


def test_a_wrapper_that_was_there_before_stays(client: Any) -> None:
    others = lay_over(client)
    wrapped = WrappedMethod(type(client), "own", doubling)
    wrapped.attach()
    assert client.own() == 202
    wrapped.detach()
    assert type(client).own is others


def test_after_the_other_has_gone_it_works_again_and_can_be_taken_away(client: Any) -> None:
    owner = type(client)
    before = owner.own
    wrapped = WrappedMethod(owner, "own", doubling)
    wrapped.attach()
    mine = owner.own
    lay_over(client)
    wrapped.detach()
    owner.own = mine
    assert client.own() == 1
    wrapped.attach()
    assert client.own() == 2
    wrapped.detach()
    assert owner.own is before


def test_attached_again_above_another_it_changes_calls_once(client: Any) -> None:
    wrapped = WrappedMethod(type(client), "own", doubling)
    wrapped.attach()
    lay_over(client)
    wrapped.detach()
    wrapped.attach()
    # Above the other now, and the earlier one below it passes calls on.
    assert client.own() == 2 * (100 + 1)
    wrapped.detach()
    assert client.own() == 101


def test_taken_over_again_and_again_it_is_wrapped_once(client: Any) -> None:
    owner = type(client)
    before = owner.own
    old = WrappedMethod(owner, "own", doubling)
    old.attach()
    for _ in range(2_000):
        new = WrappedMethod(owner, "own", doubling)
        new.attach()
        old.detach()
        old = new
    assert client.own() == 2
    old.detach()
    assert owner.own is before


def test_another_s_wrapper_with_our_mark_is_not_taken_away(client: Any) -> None:
    wrapped = WrappedMethod(type(client), "own", doubling)
    wrapped.attach()
    below = type(client).own

    @functools.wraps(below)
    def others(self: Any) -> Any:
        return below(self) + 100

    type(client).own = others
    wrapped.detach()
    assert type(client).own is others
    assert client.own() == 101


def test_a_method_that_is_not_there_is_none_afterwards(client: Any) -> None:
    wrapped = WrappedMethod(type(client), "missing", doubling)
    wrapped.attach()
    assert not hasattr(client, "missing")
    wrapped.detach()
    assert not hasattr(client, "missing")
