"""Scoring caption analysers: sentences, the naive baseline, counts and the command."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earshot.cli import app
from earshot.errors import InputError
from earshot.media.sample_world import write_sample_video
from earshot.tasks.analyse_captions.lexicon import lexicon
from earshot.tasks.evaluate_captions.baseline import naive
from earshot.tasks.evaluate_captions.evaluate import analyser_named, evaluate
from earshot.tasks.evaluate_captions.scores import Found, score
from earshot.tasks.evaluate_captions.sentences import (
    Labelled,
    Sentence,
    read_sentences,
    sample_sentences,
)


def line(text: str, *objects: tuple[str, str, str], source: str = "zoo") -> str:
    """Make a line of a file of hand labels; objects are (head, audible, visible)."""
    rows = [{"head": h, "audible": a, "visible": v, "count": 1} for h, a, v in objects]
    return json.dumps({"id": "x", "source": source, "text": text, "objects": rows})


def test_labelled_lines_are_read(tmp_path: Path) -> None:
    """Heads and what is said of them are kept, `unclear` is None, blank lines are passed over."""
    path = tmp_path / "labels.jsonl"
    path.write_text(line("A cat meows at a box.", ("cat", "yes", "unclear")) + "\n\n")
    (sentence,) = read_sentences(path)
    assert sentence == Sentence("zoo", "A cat meows at a box.", (Labelled("cat", True, None),))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (line("A cat.", ("cat", "maybe", "yes")), r"line 1, objects\.0\.audible.*mend the line"),
        ('{"text": "A cat."}', "line 1, source"),
        ("no json", "line 1, line"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, content: str, message: str) -> None:
    """The message has the line, the field and the remedy."""
    path = tmp_path / "labels.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_sentences(path)
    with pytest.raises(InputError, match=r"gone\.jsonl.*check the path"):
        read_sentences(tmp_path / "gone.jsonl")


def test_sample_sentences_are_the_captions_of_the_sample_world(tmp_path: Path) -> None:
    """With no video written, texts are those of the manifest and heads those of the truth."""
    truth = write_sample_video(tmp_path, 5, 1)
    before = len(sample_sentences(1, 5))
    sentences = sample_sentences(2, 5)[before:]
    assert [sentence.text for sentence in sentences] == [c.text for c in truth.captions]
    named = {each.head for sentence in sentences for each in sentence.objects}
    assert named == {surface.split()[-1] for o in truth.objects for surface in o.surfaces}
    heard = {o.object_id for o in truth.event_objects if o.sounding}
    said = {each.head for sentence in sentences for each in sentence.objects if each.heard}
    assert said == {o.head for o in truth.objects if o.object_id in heard}


def test_the_baseline_takes_all_nouns_and_all_subjects() -> None:
    """A wall is an object and whoever sits is heard: that is what has to be beaten."""
    found = naive("A man in a hat sits by the wall while a dog barks at him.", lexicon())
    assert {(f.head, f.heard) for f in found} == {
        ("man", True), ("hat", False), ("wall", False), ("dog", True),
    }  # fmt: skip


def test_counts_and_rates_are_those_of_the_labels() -> None:
    """Found and labelled things meet by head; unclear labels count for objects only."""
    labels = (
        Labelled("dog", True, True), Labelled("cat", False, True),
        Labelled("bird", True, False), Labelled("cow", None, None),
    )  # fmt: skip
    found = (
        Found("Dog", True, True), Found("cat", True, True), Found("cow", True, True),
        Found("wall", False, True),
    )  # fmt: skip
    (result,) = score([Sentence("zoo", "", labels)], [found])
    assert (result.matched, result.found, result.labelled) == (3, 4, 4)
    assert (result.judged, result.judged_right) == (2, 1)
    assert (result.heard_matched, result.heard_found, result.heard_labelled) == (1, 2, 2)
    assert result.rates["precision"] == 0.75
    assert result.rates["audible_accuracy"] == 0.5
    assert result.rates["visible_accuracy"] == 1.0
    assert score([Sentence("zoo", "", ())], [()])[0].rates["precision"] is None


def test_a_name_that_is_told_apart_in_a_sentence_is_one_thing() -> None:
    """Of two dogs one barks: the dog is heard, found as well as labelled."""
    labels = (Labelled("dog", False, True), Labelled("dog", True, True))
    found = (Found("dog", True, True), Found("dog", False, True))
    (result,) = score([Sentence("zoo", "", labels)], [found])
    assert (result.labelled, result.found, result.judged_right) == (1, 1, 1)


def test_silent_sentences_and_pronouns_are_judged_fairly() -> None:
    """A sentence without a sound still names its things; `he` is no noun and is not counted."""
    sentences = [
        Sentence("zoo", "A man holds a box.", (Labelled("man", False, True),)),
        Sentence("zoo", "He sings.", ()),
    ]
    result, _ = evaluate(sentences, analyser_named("rules"))
    assert (result.scores[0].found, result.scores[0].matched) == (2, 1)


def test_the_rules_beat_the_baseline_on_a_sample_world() -> None:
    """On a world that no rule was made on, objects and hearing are far better than naive."""
    result, baseline = evaluate(sample_sentences(24, 4242), analyser_named("rules"))
    ours, theirs = result.scores[0].rates, baseline.scores[0].rates
    assert (baseline.backend, result.backend) == ("baseline", "rules")
    for rate in ("f1", "audible_accuracy", "audible_f1"):
        assert (ours[rate] or 0) > (theirs[rate] or 0) + 0.15, rate


def test_the_rules_beat_the_baseline_on_hand_labels(shared_data: Path) -> None:
    """On sentences of two sources that people labelled, by a clear margin in objects and hearing.

    What AudioCaps names is nearly all heard, so that saying yes to everything costs little there:
    its accuracy is only not to be worse, and its precision of hearing has to be better.
    """
    path = shared_data / "annotations" / "caption_objects.jsonl"
    result, baseline = evaluate(read_sentences(path), analyser_named("rules"))
    pairs = {o.source: (o, b) for o, b in zip(result.scores, baseline.scores, strict=True)}
    assert pairs.keys() == {"activitynet", "audiocaps"}
    for source, (ours, theirs) in pairs.items():
        assert (ours.rates["f1"] or 0) >= (theirs.rates["f1"] or 0) + 0.08, source
        assert (ours.rates["audible_precision"] or 0) >= (
            theirs.rates["audible_precision"] or 0
        ) + 0.08, source
        assert (ours.rates["audible_accuracy"] or 0) >= (theirs.rates["audible_accuracy"] or 0)
    ours, theirs = pairs["activitynet"]
    assert (ours.rates["audible_accuracy"] or 0) >= (theirs.rates["audible_accuracy"] or 0) + 0.15


def test_an_unknown_backend_is_refused() -> None:
    """The message says what there is."""
    with pytest.raises(InputError, match="'gpt': expected rules"):
        analyser_named("gpt")


def test_the_command_prints_a_table_and_json(tmp_path: Path) -> None:
    """Both sources stand there, the baseline beside the backend; JSON has the same numbers."""
    path = tmp_path / "labels.jsonl"
    path.write_text(line("A cat meows.", ("cat", "yes", "yes")))
    arguments = ["evaluate", "captions", "--data", str(path), "--sample-videos", "2", "--seed", "3"]
    table = CliRunner().invoke(app, arguments)
    assert table.exit_code == 0, table.output
    for word in ("zoo", "sample world", "rules", "baseline", "F1"):
        assert word in table.output
    done = CliRunner().invoke(app, [*arguments, "--json"])
    ours, baseline = json.loads(done.output)
    assert [s["source"] for s in ours["sources"]] == ["zoo", "sample world"]
    assert ours["sources"][0]["f1"] == 1.0
    assert ours["sources"][0]["counts"]["heard_matched"] == 1
    assert baseline["backend"] == "baseline"


def test_nothing_to_score_is_an_error() -> None:
    """Without a file and without a sample world the command says what it needs."""
    done = CliRunner().invoke(app, ["evaluate", "captions", "--sample-videos", "0"])
    assert isinstance(done.exception, InputError)
    assert "--data" in str(done.exception)
