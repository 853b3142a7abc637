"""Faults as plain functions: what is asked for, how often the detector is armed, and what becomes of messages."""

from collections import Counter

import numpy as np
import pytest

from stream.core.errors import UsageError
from stream.simulate.arming import SeriesPlan, make_arms, make_messages
from stream.simulate.damage import cut_short
from stream.simulate.deliveries import LATEST, deliveries
from stream.simulate.faults import KNOWN, Faults


def made(frames, faults=None, seed=1, plan=None):
    """What the detector makes."""
    faults, plan = faults or Faults(), plan or SeriesPlan()
    return list(make_messages(make_arms(frames, plan, faults, seed)))


def sent(frames, faults, seed=1, plan=None):
    """What arrives of it, and each message that was made."""
    messages = made(frames, faults, seed, plan)
    return list(deliveries(messages, faults, seed)), messages


def frames_of(messages):
    return [message.frame for message in messages if message.kind == "image"]


def test_faults_are_read_and_wrong_ones_named():
    spec = "drop:0.01, duplicate:0.02,corrupt:0.005,truncate:0.25,delay:0.5,shuffle:3,dump:0.1,abort:0,restart:1"
    numbers = {"drop": 0.01, "duplicate": 0.02, "corrupt": 0.005, "truncate": 0.25, "delay": 0.5, "dump": 0.1}
    assert Faults.parse(spec) == Faults(**numbers, shuffle=3, abort=0.0, restart=1.0)
    assert Faults.parse("dtype:uint32,no-end,steal") == Faults(dtype="uint32", no_end=True, steal=True)
    assert Faults.parse("") == Faults()
    for wrong in (
        *("drop", "drop:2", "drop:nan", "lose:0.1", "abort", "abort:1.1", "reorder:3"),
        *("shuffle:x", "shuffle:0", "dtype:uint16", "dtype:int32", "dtype", "no-end:3", "steal:1"),
    ):
        with pytest.raises(UsageError, match=f"--faults has '{wrong}'"):
            Faults.parse(wrong)


def test_the_help_and_the_error_name_every_fault():
    from stream.cli.simulate import FAULTS

    for name in Faults.__dataclass_fields__:
        assert name.replace("_", "-") in KNOWN
        assert name.replace("_", "-") in FAULTS


def test_without_faults_everything_arrives_as_it_was_made():
    messages = made(5)
    assert [(m.kind, m.frame) for m in messages] == [("start", 0), *(("image", n) for n in range(5)), ("end", 0)]
    assert list(deliveries(messages, Faults(), 1)) == messages


@pytest.mark.parametrize(
    "faults",
    [
        Faults(drop=0.3),
        Faults(duplicate=0.3),
        Faults(corrupt=0.3, truncate=0.3),
        Faults(delay=0.3),
        Faults(shuffle=16),
        Faults(abort=0.5, restart=0.5, dtype="uint8"),
    ],
)
def test_the_seed_decides(faults):
    plan = SeriesPlan(kind="line", frames=50)
    again, other = sent(500, faults, 2, plan)[0], sent(500, faults, 3, plan)[0]
    assert sent(500, faults, 2, plan)[0] == again != other


def test_shares_are_kept():
    """Binomial: five standard deviations."""
    wrong = Faults(drop=0.1, duplicate=0.2, corrupt=0.05, truncate=0.1)
    arrived, _ = sent(5000, wrong, 2)
    counts = Counter(frames_of(arrived))
    assert len(counts) == pytest.approx(4500, abs=5 * np.sqrt(450))
    assert sum(n == 2 for n in counts.values()) == pytest.approx(900, abs=5 * np.sqrt(720))
    assert set(counts.values()) == {1, 2}
    damage = Counter(message.damage for message in arrived)
    assert damage["corrupt"] == pytest.approx(270, abs=5 * np.sqrt(257 + 45))
    assert damage["truncate"] == pytest.approx(540, abs=5 * np.sqrt(486 + 90))


def test_whole_shares_are_exact():
    assert [m.kind for m in sent(50, Faults(drop=1.0))[0]] == ["start", "end"]
    assert Counter(frames_of(sent(50, Faults(duplicate=1.0))[0])) == dict.fromkeys(range(50), 2)
    for name in ("corrupt", "truncate"):
        arrived, _ = sent(50, Faults(**{name: 1.0}))
        assert [m.damage for m in arrived] == ["none", *[name] * 50, "none"]


def test_one_fault_changes_nothing_of_another():
    lost = sorted(set(range(500)) - set(frames_of(sent(500, Faults(drop=0.1))[0])))
    other = Faults(drop=0.1, duplicate=0.5, shuffle=7, delay=0.2, truncate=0.1)
    assert lost == sorted(set(range(500)) - set(frames_of(sent(500, other)[0])))


def test_images_change_places_within_windows():
    arrived, messages = sent(100, Faults(shuffle=4), plan=SeriesPlan(kind="line", frames=10))
    assert [m.kind for m in arrived] == [m.kind for m in messages]
    for k in range(10):
        line = frames_of(arrived[12 * k : 12 * (k + 1)])
        assert [set(line[:4]), set(line[4:8]), set(line[8:])] == [{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9}]
    assert frames_of(arrived) != frames_of(messages)
    assert frames_of(sent(100, Faults(shuffle=1))[0]) == list(range(100))


def test_late_images_are_overtaken_by_up_to_64_messages_and_by_the_end():
    arrived, messages = sent(2000, Faults(delay=0.1), 2)
    assert Counter(arrived) == Counter(messages)
    index = {message: n for n, message in enumerate(arrived)}
    place = np.array([index[message] for message in messages])
    assert 0 < (place - np.arange(2002)).max() <= LATEST == 64
    overtaken = place[:-1] > np.minimum.accumulate(place[:0:-1])[::-1]
    assert overtaken.sum() == pytest.approx(200, abs=5 * np.sqrt(180))
    assert np.all(np.diff(place[:-1][~overtaken]) > 0)  # the others keep their order
    assert arrived[0].kind == "start"
    assert arrived[-1].kind == "image"  # after the end


def test_no_series_ends():
    plan = SeriesPlan(kind="line", frames=10)
    assert Counter(m.kind for m in sent(50, Faults(no_end=True), plan=plan)[0]) == {"start": 5, "image": 50}


def test_arms_without_faults_follow_the_plan():
    arms = make_arms(60, SeriesPlan(kind="slice", frames=20), Faults(), 1)
    assert [(a.index, a.first, a.planned, a.made, a.message) for a in arms] == [
        (0, 0, 20, 20, 0),
        (1, 20, 20, 20, 22),
        (2, 40, 20, 20, 44),
    ]
    assert [a.label for a in arms] == [{"slice": 0}, {"slice": 1}, {"slice": 2}]
    (arm,) = make_arms(60, SeriesPlan(), Faults(), 1)
    assert (arm.planned, arm.label) == (60, {})


def test_one_series_is_aborted_and_one_restarted():
    plan = SeriesPlan(kind="line", frames=20)
    cases = [make_arms(200, plan, Faults(abort=0.3, restart=0.6), seed) for seed in range(30)]
    for arms in cases:
        assert [arm.index for arm in arms] == list(range(12))
        broken = [arm for arm in arms if not arm.ended]
        assert sorted((arm.made, arm.strays) for arm in broken) == [(6, 4), (12, 0)]
        assert all(arms[arm.index + 1].first == arm.first for arm in broken)
        assert [arm.first for arm in arms if arm.ended] == list(range(0, 200, 20))
        assert [arm.message for arm in arms] == [sum(a.messages for a in arms[:k]) for k in range(12)]
    assert len({next(arm.first for arm in arms if arm.strays) for arms in cases}) > 5


def test_an_abort_before_the_first_frames_leaves_no_more_strays_than_there_are():
    for share, count in ((0.0, 0), (0.1, 2), (1.0, 4)):
        arrived, _ = sent(20, Faults(abort=share))
        second = [n for n, message in enumerate(arrived) if message.kind == "start"][1]
        assert [m.arm.index for m in arrived[second + 1 :]] == [0] * count + [1] * 21


def test_types_change_with_a_series_or_in_the_middle_of_the_only_one():
    def types(frames, plan=None):
        return [m.arm.dtype(m.frame) for m in made(frames, Faults(dtype="uint8"), plan=plan) if m.kind == "image"]

    assert types(5) == ["uint16"] * 3 + ["uint8"] * 2
    assert types(50, SeriesPlan(kind="line", frames=10)) == ["uint16"] * 30 + ["uint8"] * 20


def test_a_message_cut_short_keeps_its_small_parts():
    assert cut_short([b"head", b"0123456789", b"tail"]) == [b"head", b"01234", b"tail"]
