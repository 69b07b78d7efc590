"""A ballot of the second stack: what closes it, and how."""

import pytest

from tests.second_stack.clerk.ballots import Ballot, Malformed, vote_in

DATA = {"ballot": "b-1", "question": "shall we?", "office": "LEGAL", "voters": 2, "closes": 60}


@pytest.fixture
def ballot() -> Ballot:
    return Ballot.opened({"data": DATA}, now=1000.0)


def test_it_closes_with_the_last_vote_and_names_a_winner(ballot: Ballot) -> None:
    ballot.count("b-1-voter-1", "yes", quorum=2)
    assert not ballot.result
    ballot.count("b-1-voter-2", "yes, because", quorum=2)
    assert ballot.outcome == {"ballot": "b-1", "result": "decided", "votes": 2, "winner": "b-1-voter-2"}


def test_the_same_vote_counts_once_and_a_stranger_s_does_not(ballot: Ballot) -> None:
    for voter in ("b-1-voter-1", "b-1-voter-1", "somebody"):
        ballot.count(voter, "yes", quorum=2)
    assert (list(ballot.votes), ballot.result) == (["b-1-voter-1"], "")


def test_without_enough_votes_it_is_void_and_says_why(ballot: Ballot) -> None:
    for name in ballot.names:
        ballot.spoil(name, "the model refuses", quorum=2)
    assert ballot.outcome["result"] == "void" and "voter-2: the model refuses" in ballot.outcome["reason"]


def test_it_expires_when_its_time_is_over_and_not_before(ballot: Ballot) -> None:
    ballot.expire(1059.0)
    assert not ballot.result
    ballot.expire(1060.0)
    assert "no vote of b-1-voter-1, b-1-voter-2" in ballot.outcome["reason"]


def test_it_survives_the_bucket(ballot: Ballot) -> None:
    ballot.count("b-1-voter-1", "yes", quorum=2)
    assert Ballot.of(ballot.document) == ballot


@pytest.mark.parametrize("message", [[], {}, {"data": DATA | {"voters": 0}}, {"data": DATA | {"ballot": 7}}])
def test_a_malformed_ballot_is_not_opened(message: object) -> None:
    with pytest.raises(Malformed):
        Ballot.opened(message, 0.0)


@pytest.mark.parametrize("message", [[], {"data": "x"}, {"data": {"ballot": 7, "voter": {"id": "v"}, "vote": "x"}}])
def test_a_malformed_vote_is_none(message: object) -> None:
    with pytest.raises(Malformed):
        vote_in(message)
