"""Exclusion lists find a video by id, by file name and by content."""

from __future__ import annotations

import pytest

from earshot.errors import ConfigError
from earshot.schemas.arrow import to_table
from earshot.schemas.video import Video
from earshot.tasks.publish_release.exclusions import find_overlaps, read_lists
from tests import factories

VIDEOS = to_table(
    Video,
    [
        factories.make_video("a"),
        factories.make_video("b", uri="s3://bucket/clips/-8mcyL3kWNQ.mp4"),
        factories.make_video("c", sha256="c" * 64),
        factories.make_video("d"),
    ],
)
ASKED = frozenset("abcd")


def _shared(tmp_path, text, asked=ASKED):
    (tmp_path / "bench.v2.txt").write_text(text)
    (overlap,) = find_overlaps(read_lists([str(tmp_path / "bench.v2.txt")]), VIDEOS, asked)
    assert overlap.benchmark == "bench.v2"
    return overlap.video_ids, overlap.entries


def test_id_file_name_and_content_are_compared(tmp_path):
    """A renamed or copied clip is found as well; comments and empty lines are none."""
    text = f"# test set\n\na\n-8mcyL3kWNQ\n{'c' * 64}  # a copy\nz\n"
    assert _shared(tmp_path, text) == (("a", "b", "c"), 4)


def test_a_part_of_an_id_is_no_match(tmp_path):
    """Entries are compared whole."""
    assert _shared(tmp_path, "aa\n8mcyL3kWNQ\n") == ((), 2)


def test_videos_without_a_question_do_not_count(tmp_path):
    """Nothing about them is published to train on."""
    assert _shared(tmp_path, "a\nd\n", frozenset("d")) == (("d",), 2)


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_a_list_that_guards_nothing_is_an_error(tmp_path, text):
    """An empty file would pass every release."""
    with pytest.raises(ConfigError, match="has no entry"):
        _shared(tmp_path, text)


def test_a_list_that_is_not_there_is_an_error(tmp_path):
    """With the name of the setting."""
    with pytest.raises(ConfigError, match=r"release\.exclusion_lists: .*nowhere.txt.* not there"):
        read_lists([str(tmp_path / "nowhere.txt")])


@pytest.mark.parametrize(
    ("file", "subset", "entries"),
    [
        ("unav100.json", "#test", None),
        ("ravst_test_qa.json", "", 691),
        ("vggss_boxes.json", "", None),
        ("ave_annotations.txt", "", None),
        ("llp_eval_audio.csv", "", None),
        ("activitynet_captions_val2.json", "", 3321),
    ],
)
def test_the_benchmarks_own_files_are_read(shared_data, file, subset, entries):
    """Six forms; a clip of a video is found however its seconds are appended."""
    (listed,) = read_lists([f"Some benchmark={shared_data}/annotations/{file}{subset}"])
    assert listed.name == "Some benchmark"
    assert listed.entries == (entries or listed.entries) > 500
    clips = [name for name in listed.names if len(name) == 11]
    assert len(clips) > 0.9 * listed.entries or file.startswith(("llp", "ave", "vggss"))
    videos = to_table(Video, [factories.make_video(f"{clips[0]}_12_22"), factories.make_video("x")])
    assert listed.among(videos) == {f"{clips[0]}_12_22"}


def test_a_subset_is_that_part_alone(tmp_path):
    """UnAV-100 has its splits in one file."""
    path = tmp_path / "unav.json"
    path.write_text('{"database": {"a": {"subset": "Test"}, "b": {"subset": "train"}}}')
    (listed,) = read_lists([f"UnAV-100 test={path}#test"])
    assert (listed.name, listed.among(VIDEOS)) == ("UnAV-100 test", {"a"})
    with pytest.raises(ConfigError, match="has no entry"):
        read_lists([f"{path}#validation"])


def test_broken_json_is_an_error_and_no_list(tmp_path):
    """It would pass as a list of odd ids."""
    (tmp_path / "bad.json").write_text('{"a": ')
    with pytest.raises(ConfigError, match=r"begins like JSON and is none"):
        read_lists([str(tmp_path / "bad.json")])


MARK = "\ufeff"


@pytest.mark.parametrize(
    "text",
    [
        f"{MARK}-8mcyL3kWNQ\r\n\r\nz\r\n",
        f"{MARK}video_id,label\r\n-8mcyL3kWNQ,dog\r\nz,cat\r\n",
        "Video_ID;label\n-8mcyL3kWNQ;dog\nz;cat\n",
        f'{MARK}{{"-8mcyL3kWNQ": {{}}, "z": {{}}}}',
        '{"videos": ["-8mcyL3kWNQ", "z"]}',
        '{"info": {"year": 2024}, "videos": [{"video_id": "-8mcyL3kWNQ"}, {"video_id": "z"}]}',
        '{"version": "1", "data": {"-8mcyL3kWNQ": {}, "z": {}}}',
        "-8mcyL3kWNQ,30,dog barking,test\n---g-f_I2yQ,1,people marching,train\n",
        '# YTID, start, end, labels\n-8mcyL3kWNQ, 0.000, 10.000, "/m/1,/m/2"\n'
        '---g-f_I2yQ, 0.000, 10.000, "/m/1"\n',
    ],
    ids=[
        "marked lines",
        "marked table",
        "semicolons",
        "marked JSON",
        "listed videos",
        "rows of videos",
        "data by video",
        "VGG-Sound",
        "AudioSet",
    ],
)
def test_what_spreadsheets_and_benchmarks_write_is_read(tmp_path, text):
    """Byte order mark, CRLF, blank lines, no head: the first entry is found as any other."""
    assert _shared(tmp_path, text) == (("b",), 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name,label\nx y,dog\nz,cat\n", "no column names a video: it begins 'name,label'"),
        (b"-8mcyL3kWNQ,---g-f_I2yQ\n", "no column names a video"),
        (b"caf\xe9\n", "can't be read .*expected UTF-8"),
    ],
)
def test_a_list_that_would_guard_nothing_unnoticed_is_an_error(tmp_path, content, said):
    """A table without a known column, or bytes that are no text."""
    (tmp_path / "odd.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_lists([str(tmp_path / "odd.csv")])
    with pytest.raises(ConfigError, match="can't be read"):
        read_lists([str(tmp_path)])
