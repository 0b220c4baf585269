"""The openai analyser against a real server: what answers become, and what never becomes rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from earshot.schemas.event import Event
from earshot.tasks.analyse_captions.protocol import Analysed, Analysis
from earshot.tasks.extract_objects.merge import merge
from earshot.tasks.llm.trouble import Trouble
from tests.factories import make_event
from tests.llm_server import LlmServer, Reply, caption_of, good_answer
from tests.tasks.llm.conftest import event, thing, video

Analyse = Callable[..., dict[str, Analysed]]
SILENT: dict[str, Any] = {"audibility": "visible_only", "sounding": []}


def answers(*events: dict[str, Any]) -> Reply:
    """A reply with these events."""
    return Reply(json.dumps({"events": list(events)}))


def analysis(analysed: Analysed) -> Analysis:
    """The rows of a video that was analysed."""
    assert isinstance(analysed.said, Analysis), analysed.said
    return analysed.said


def fault(analysed: Analysed) -> Trouble:
    """Why a video was not analysed."""
    assert isinstance(analysed.said, Trouble), analysed.said
    return analysed.said


def given(*segments: tuple[float, float], label: str = "dog barking") -> Event:
    """An event of the manifest in video v."""
    return make_event("v", segments, label, time_source="given", caption_ids=())


def test_an_answer_becomes_events_and_mentions_with_their_places(
    analyse: Analyse, server: LlmServer
) -> None:
    """Places are found in the caption, and every row says with which prompt and answer."""
    server.first.append(answers(event(thing("a dog"), thing("THE  gate", **SILENT))))
    said = analysis(analyse(video("v", "Here a dog barks at the gate."))["v"])
    (found,) = said.events
    assert (found.label, found.time_source, found.segments[0].pair) == (
        "a label",
        "caption",
        (0, 4),
    )
    assert [(m.surface, m.audibility) for m in said.mentions] == [
        ("a dog", "visible_and_audible"),
        ("the gate", "visible_only"),
    ]
    assert all("Here a dog barks at the gate."[m.char_start : m.char_end] == m.surface
               for m in said.mentions)  # fmt: skip
    for row in (found, *said.mentions):
        assert row.prompt_digest
        assert row.answer_key


def test_the_request_has_what_differs_last(analyse: Analyse, server: LlmServer) -> None:
    """Two requests are equal up to the categories: an endpoint can cache the beginning."""
    analyse(video("v", "A dog barks.", "A cat meows."), categories=("dog barking", "cat meowing"))
    bodies = [body for body in server.requests if len(body["messages"]) == 2]
    first, second = (json.dumps(body["messages"]) for body in bodies)
    same = next(i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    assert "Categories: dog barking; cat meowing" in first[:same]
    assert first[same:].startswith(("dog barks", "cat meows"))
    assert "visible_and_audible" in first[:same]


def test_words_that_the_caption_does_not_have_are_rejected_by_name(
    analyse: Analyse, server: LlmServer
) -> None:
    """An invented object ends in the ledger as `not_in_caption`; the others stay."""
    server.first.append(answers(event(thing("A dog"), thing("a leash"), thing("A do"))))
    clip = video("v", "A dog barks.")
    said = analysis(analyse(clip)["v"])
    extraction = merge(said.mentions, clip.captions, said.events)
    assert [each.name for each in extraction.objects] == ["dog"]
    assert [(r.mention.surface, r.code) for r in extraction.rejected] == [
        ("a leash", "not_in_caption"),
        ("A do", "not_in_caption"),
    ]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("text", "evidence", "surface"),
    [
        ("A caf\u00e9 door slams.", "A cafe\u0301 door", "A caf\u00e9 door"),
        ("A cafe\u0301 door slams.", "A caf\u00e9 door", "A cafe\u0301 door"),
        ("Xe \u00ea\u0323m k\u00eau.", "xe \u1ec7m", "Xe \u00ea\u0323m"),
        ("A man\u2019s dog barks.", "A man's dog", "A man\u2019s dog"),
        ("A man's dog barks.", "A man\u2019s dog", "A man's dog"),
        ("A \u201clittle\u201d dog barks.", 'A "little" dog', "A \u201clittle\u201d dog"),
        ("A\u00a0brown dog barks.", "A brown dog", "A\u00a0brown dog"),
        ("A T\u2011shirt flaps.", "A T-shirt", "A T\u2011shirt"),
        ("A T-shirt flaps.", "A T\u2010shirt", "A T-shirt"),
        ("A loud\u200bspeaker hums.", "A loudspeaker", "A loud\u200bspeaker"),
        ("Der WEI\u00dfE Hund bellt.", "der wei\u00dfe Hund", "Der WEI\u00dfE Hund"),
    ],
    ids=ascii,
)
def test_evidence_in_another_typography_is_the_captions_own_span(
    text: str, evidence: str, surface: str, analyse: Analyse, server: LlmServer
) -> None:
    """Models normalise quotes, dashes and accents: what is kept is as the caption has it."""
    server.first.append(answers(event(thing(evidence, name="door"))))
    clip = video("v", text)
    said = analysis(analyse(clip)["v"])
    assert merge(said.mentions, clip.captions, said.events).rejected == ()
    (found,) = said.mentions
    assert found.surface == surface == text[found.char_start : found.char_end]


@pytest.mark.parametrize(
    ("text", "evidence"),
    [("A cafe\u0301 door slams.", "A cafe"), ("A caf\u00e9 door slams.", "A cafe door")],
    ids=ascii,
)
def test_an_accent_is_a_part_of_its_letter(
    text: str, evidence: str, analyse: Analyse, server: LlmServer
) -> None:
    """Only the form may differ: a letter without its accent is another word."""
    server.first.append(answers(event(thing(evidence, name="door"))))
    clip = video("v", text)
    said = analysis(analyse(clip)["v"])
    (rejected,) = merge(said.mentions, clip.captions, said.events).rejected
    assert rejected.code == "not_in_caption"


def test_given_events_stand_as_they_are(analyse: Analyse, server: LlmServer) -> None:
    """Times and labels of the answer are ignored; every listed event has to be answered once."""
    bark = given((0, 2), (3, 4))
    sounds = [{"start_s": 1, "end_s": 3.5}]
    server.first.append(
        answers(event(thing("A dog", sounding=sounds), event=1, label="cat", segments=[]))
    )
    said = analysis(analyse(video("v", "A dog barks.", events=(bark,)))["v"])
    assert said.events == (bark,)
    assert [i.pair for i in said.mentions[0].sounding] == [(1, 2), (3, 3.5)]
    assert '1: "dog barking", 0 to 2 s and 3 to 4 s' in str(server.requests[0])


def test_a_caption_of_no_given_event_is_not_asked_about(
    analyse: Analyse, server: LlmServer
) -> None:
    """Where events are given, a caption of another time costs nothing and is empty."""
    said = analysis(analyse(video("v", "A dog barks.", events=(given((8, 9)),)))["v"])
    assert server.requests == []
    assert said.empty_caption_ids == ("v/c0",)


def test_nothing_heard_is_an_answer_too(analyse: Analyse, server: LlmServer) -> None:
    """An empty list that the model wrote is `empty`; only a failure is never one."""
    server.first.append(answers())
    said = analysis(analyse(video("v", "A parked car."))["v"])
    assert (said.events, said.mentions, said.empty_caption_ids) == ((), (), ("v/c0",))


BROKEN = {
    "no JSON": ("The dog barks.", "no JSON object"),
    "half JSON": ('{"events": [', "Expecting value"),
    "a field is missing": ('{"events": [{"label": null}]}', "events.0.event: Field required"),
    "a wrong word": (
        json.dumps({"events": [event(thing("A dog", audibility="loud"))]}),
        "audibility: Input should be",
    ),
    "outside of the caption": (
        json.dumps({"events": [event(thing("A dog"), segments=[{"start_s": 0, "end_s": 9}])]}),
        r"outside of the caption's time 0 to 4 s",
    ),
    "reversed": (
        json.dumps({"events": [event(thing("A dog"), segments=[{"start_s": 3, "end_s": 1}])]}),
        "start must be below end",
    ),
    "no segments": (json.dumps({"events": [event(thing("A dog"), segments=[])]}), "is empty"),
    "never sounds": (
        json.dumps({"events": [event(thing("A dog", sounding=[]))]}), "never sounds",
    ),
    "silent and sounding": (
        json.dumps(
            {"events": [event(thing("A dog"), thing("the gate", audibility="visible_only"))]}
        ),
        "leave them out",
    ),
    "nobody heard": (json.dumps({"events": [event(thing("A dog", **SILENT))]}), "no object of it"),
    "twice": (json.dumps({"events": [event(thing("A dog"), thing("A dog"))]}), "listed twice"),
    "a count of 0": (json.dumps({"events": [event(thing("A dog", count=0))]}), "count is 0"),
    "a name beyond the grammar": (
        json.dumps({"events": [event(thing("A dog", name="dog" * 2000))]}), "1 to 80 characters",
    ),
    "a name with a tag": (
        json.dumps({"events": [event(thing("A dog", name="<object>dog"))]}), "without < and >",
    ),
    "the none-answer": (json.dumps({"events": [event(thing("A dog", name="none"))]}), "not none"),
    "a time that is true": (
        json.dumps({"events": [event(thing("A dog"), segments=[{"start_s": 0, "end_s": True}])]}),
        "expected a number, found true",
    ),
    "a count that is true": (
        json.dumps({"events": [event(thing("A dog", count=True))]}), "found true",
    ),
    "a sureness that is true": (
        json.dumps({"events": [event(thing("A dog", confidence=True))]}), "found true",
    ),
    "too sure": (json.dumps({"events": [event(thing("A dog", confidence=7))]}), "0 to 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_asked_again_with_the_reason(
    name: str, analyse: Analyse, server: LlmServer
) -> None:
    """The second request shows the model its answer and what is wrong, and its answer counts."""
    content, reason = BROKEN[name]
    server.first.append(Reply(content))
    analysis(analyse(video("v", "A dog barks at the gate."))["v"])
    first, second = server.requests
    assert second["messages"][: len(first["messages"])] == first["messages"]
    said, complaint = (message["content"] for message in second["messages"][-2:])
    assert said == content
    assert reason in complaint


def test_categories_are_the_only_labels(analyse: Analyse, server: LlmServer) -> None:
    """A label that is none of the categories is asked again; null and another case are fine."""
    server.first.append(answers(event(thing("A dog"), label="howling")))
    server.first.append(answers(event(thing("A dog"), label="Dog Barking")))
    said = analysis(analyse(video("v", "A dog barks."), categories=("dog barking",))["v"])
    assert said.events[0].label == "dog barking"
    assert "none of the categories" in str(server.requests[1])


def test_listed_events_have_to_be_answered(analyse: Analyse, server: LlmServer) -> None:
    """A number that was not listed, and one that is missing, are broken rules."""
    server.first.append(answers(event(thing("A dog"), event=2)))
    server.first.append(answers())
    server.answer = lambda body: Reply(good_answer(body))
    analysis(analyse(video("v", "A dog barks.", events=(given((0, 4)),)))["v"])
    assert "expected a number from 1 to 1" in str(server.requests[1])
    assert "event 1 of the request is not answered" in str(server.requests[2])


def test_after_two_repairs_the_video_is_quarantined_with_the_raw_answer(
    analyse: Analyse, server: LlmServer
) -> None:
    """No answer that breaks the rules becomes rows, not even empty ones; other videos go on."""
    server.answer = lambda body: Reply(
        good_answer(body) if "cat" in caption_of(body) else "never JSON"
    )
    said = analyse(video("v", "A dog barks.", "A bird sings."), video("w", "A cat meows."))
    why = fault(said["v"])
    assert (why.status, why.code) == ("quarantined", "bad_answer")
    assert set(why.faults) == {"v/c0", "v/c1"}
    assert "after 2 repairs" in why.message
    assert "never JSON" in str(why.value)
    assert said["v"].cost_usd
    assert len(analysis(said["w"]).events) == 1
    assert len(server.requests) == 7


FAULTS = {
    "refused": (Reply(None, refusal="I can't help with that."), "refused"),
    "truncated": (Reply('{"events": [', finish_reason="length"), "cut_off"),
    "filtered": (Reply("", finish_reason="content_filter"), "content_filter"),
    "empty": (Reply(""), "no_answer"),
    "white": (Reply("  \n"), "no_answer"),
    "null": (Reply(None), "no_answer"),
    "no completion": (Reply(raw='{"choices": []}'), "bad_answer"),
    "not even": (Reply(raw='{"hello": 1}'), "bad_answer"),
    "filtered before": (
        Reply(status=400, raw='{"error": {"message": "no", "code": "content_filter"}}'),
        "content_filter",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_no_answer_has_a_code_of_its_own(
    name: str, analyse: Analyse, server: LlmServer
) -> None:
    """Refusal, truncation, filter and emptiness are not repaired but told apart, the raw kept."""
    reply, code = FAULTS[name]
    server.first.append(reply)
    why = fault(analyse(video("v", "A dog barks."))["v"])
    assert (why.status, why.code) == ("quarantined", code)
    assert len(server.requests) == 1
    assert why.value is not None


def test_a_later_try_asks_again_and_only_what_failed(analyse: Analyse, server: LlmServer) -> None:
    """`quarantine retry` is a second attempt: good answers are kept, the refused one is asked."""
    server.answer = lambda body: (
        Reply(None, refusal="no") if "bird" in caption_of(body) else Reply(good_answer(body))
    )
    texts = ("A dog barks.", "A bird sings.")
    assert fault(analyse(video("v", *texts))["v"]).code == "refused"
    assert fault(analyse(video("v", *texts))["v"]).code == "refused"
    assert len(server.requests) == 2
    server.answer = lambda body: Reply(good_answer(body))
    again = analyse(video("v", *texts, attempt=2))["v"]
    assert len(analysis(again).events) == 2
    assert server.captions[2:] == ["A bird sings."]


def test_one_text_in_many_videos_is_paid_once(analyse: Analyse, server: LlmServer) -> None:
    """Equal requests share one answer, also while it is on its way."""
    server.latency_s = 0.2
    said = analyse(*(video(f"v{n}", "A dog barks.") for n in range(20)))
    assert len(server.requests) == 1
    assert len({analysis(each).events[0].event_id for each in said.values()}) == 20


def test_a_thought_and_a_fence_around_the_json_do_no_harm(
    analyse: Analyse, server: LlmServer
) -> None:
    """Local models think aloud and write fences: what counts is the JSON object."""
    json_text = json.dumps({"events": [event(thing("A dog"))]})
    server.first.append(Reply(f"<think>{{ a dog? }}</think>\n```json\n{json_text}\n```"))
    analysis(analyse(video("v", "A dog barks."))["v"])
    assert len(server.requests) == 1


def test_ids_do_not_depend_on_the_order_of_the_answer(analyse: Analyse, server: LlmServer) -> None:
    """Two events of one label have ordinals by their start."""
    late = [{"start_s": 2, "end_s": 4}]
    early = [{"start_s": 0, "end_s": 1}]
    events = [
        event(thing("A dog", sounding=late), segments=late),
        event(thing("A dog", sounding=early), segments=early),
    ]
    ids = []
    for order, name in ((events, "one"), (events[::-1], "two")):
        server.first.append(answers(*order))
        said = analysis(analyse(video("v", "A dog barks."), revision=name)["v"])
        ids.append([(e.event_id, e.segments[0].start_s) for e in said.events])
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    "text",
    ["\ud800", '{"events": [\ud800', '{"events": []}\udfff', '{"events": [], "x": "\\ud800"}'],
)
def test_half_a_surrogate_pair_breaks_nothing(
    text: str, analyse: Analyse, server: LlmServer
) -> None:
    """JSON can escape what UTF-8 can't write: the answer is repaired or kept, beside good ones."""
    server.first.append(Reply(text))
    said = analyse(video("v", "A dog barks."), video("w", "A cat calls."), in_flight=1)
    assert isinstance(analysis(said["v"]), Analysis)
    assert isinstance(analysis(said["w"]), Analysis)
    count = len(server.requests)
    analyse(video("v", "A dog barks."), video("w", "A cat calls."))
    assert len(server.requests) == count
