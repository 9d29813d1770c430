"""Many regions of one file: one pass, in bounded pieces, and each has its values or its fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from mmembed.decoding.messages import DecodeFailure, DecodeRequest, RegionRequest, Segments
from mmembed.decoding.worker import Decoder
from mmembed.media import file as media_file
from mmembed.media.packet_reader import PacketReader
from mmembed.media.regions import Region
from mmembed.media.spans import Box, Span
from mmembed.preprocess import image as image_preprocess
from tests.decoding.conftest import ALL, told

Make = Callable[..., Any]
Store = Callable[[str, bytes], Path]
Values = dict[int, list[tuple[Any, np.ndarray]]]


def request(path: Path, regions: Sequence[Region], field: str = "audio") -> DecodeRequest:
    asked = [RegionRequest(10 + i, region, f"m.csv, row {i}") for i, region in enumerate(regions)]
    return DecodeRequest(str(path), field, regions=tuple(asked))


def ask(decoder: Decoder, wanted: DecodeRequest) -> tuple[Values, dict[int, str], list[Segments]]:
    """Return the values of regions, their faults, and the answers, a piece each."""
    values: Values = {each.number: [] for each in wanted.regions}
    faults: dict[int, str] = {}
    answers: list[Segments] = []
    done: list[int] = []
    for answer in told(decoder, [wanted]):
        assert isinstance(answer, Segments), answer
        answers.append(answer)
        for number, span, each in zip(answer.numbers, answer.spans, answer.values, strict=True):
            values[number].append((span, each))
        faults |= {number: failure.message for number, failure in answer.failures.items()}
        done += answer.done
    assert sorted(done) == sorted(values), "each is dealt with once"
    return values, faults, answers


@pytest.fixture
def read_frames(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of frames that each call of libsndfile decoded."""
    counts: list[int] = []
    read = soundfile.SoundFile.read

    def counted(self: soundfile.SoundFile, *arguments: Any, **named: Any) -> np.ndarray:
        samples = read(self, *arguments, **named)
        counts.append(len(samples))
        return samples

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    return counts


@pytest.fixture
def packets(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of each packet that was read to be decoded."""
    numbers: list[int] = []
    following = PacketReader.next

    def counted(self: PacketReader) -> Any:
        numbers.append(self.number)
        return following(self)

    monkeypatch.setattr(PacketReader, "next", counted)
    return numbers


@pytest.mark.parametrize("suffix", ["WAV", "FLAC"])
@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_thousand_spans_of_a_sound_cost_one_decode(
    suffix: str, in_pieces: bool, store: Store, pcm: Make, tone: Make, read_frames: list[int]
) -> None:
    samples = tone(60, 8000)
    path = store(f"long.{suffix}", pcm(samples, suffix, rate=8000))
    starts = np.linspace(0, 59.5, 1000).round(3)
    regions = [Span(0, start, start + 0.1) for start in starts.tolist()]
    decoder = Decoder(ALL, 100_000 if in_pieces else 4 << 20)
    values, faults, answers = ask(decoder, request(path, regions))
    assert not faults
    assert len(answers) > 20 if in_pieces else len(answers) == 1
    assert sum(read_frames) <= 60 * 8000 + 2, (
        "each sample once, and the last to see that it is there"
    )
    told = soundfile.read(path, dtype="float32")[0]
    for number, ((span, each),) in values.items():
        region = regions[number - 10]
        first = round(region.start_seconds * 8000)
        assert np.array_equal(each, told[first : round(region.end_seconds * 8000)])
        assert (span.start_seconds, span.end_seconds) == (region.start_seconds, region.end_seconds)


@pytest.mark.parametrize("kind", ["audio", "video"])
@pytest.mark.parametrize("send_bytes", [20_000, 4 << 20])
def test_hundreds_of_spans_of_a_film_cost_one_decode(
    kind: str,
    send_bytes: int,
    store: Store,
    encode_video: Make,
    numbered: Make,
    tone: Make,
    packets: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With few key frames and in any order: every packet is read once, and the file opened once."""
    film = encode_video(numbered(250), sound=tone(10), options={"g": "125"})
    path = store("film.mp4", film)
    opened: list[Any] = []
    begin = media_file.MediaFile.__init__
    monkeypatch.setattr(
        media_file.MediaFile, "__init__", lambda self, at: opened.append(at) or begin(self, at)
    )
    starts = np.random.default_rng(1).permutation(np.linspace(0, 9.5, 300)).round(3).tolist()
    regions = [Span(0, start, start + 0.4) for start in starts]
    values, faults, answers = ask(Decoder(ALL, send_bytes), request(path, regions, kind))
    assert (faults, len(opened)) == ({}, 1)
    assert len(answers) > 5 or send_bytes > 20_000
    assert packets == sorted(set(packets)), "no packet twice, and none that comes before another"
    assert all(len(each) == 1 for each in values.values())
    for number in range(10, 310, 37):
        ((span, each),) = values[number]
        assert span == regions[number - 10]
        alone = ALL[kind](ALL[kind].load(path, span))
        assert np.abs(each.astype(float) - alone).max() <= 1e-5


def test_many_boxes_cost_one_decode(
    store: Store, picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = store("a.png", picture("PNG", Image.fromarray(pixels)))
    decoded: list[Any] = []
    decode = image_preprocess.decode_image
    monkeypatch.setattr(
        image_preprocess, "decode_image", lambda *a, **n: decoded.append(a) or decode(*a, **n)
    )
    boxes = [Box(x, y, 16, 16) for x in range(40) for y in range(25)]
    values, faults, answers = ask(Decoder(ALL, 100_000), request(path, boxes, "image"))
    assert (len(decoded), faults) == (1, {})
    assert len(answers) == pytest.approx(1000 * 3 * 16 * 16 / 100_000, abs=1)
    for number, ((span, each),) in values.items():
        box = boxes[number - 10]
        cut = pixels[int(box.y) : int(box.y) + 16, int(box.x) : int(box.x) + 16]
        assert span == box
        assert np.array_equal(each, cut.transpose(2, 0, 1)), "of the size of a value, as they are"


@pytest.mark.parametrize("send_bytes", [1, 30_000, 1 << 20])
def test_pieces_of_any_size_hold_the_same(
    send_bytes: int, store: Store, pcm: Make, tone: Make
) -> None:
    """Long, short and overlapping spans in any order, some of several segments."""
    path = store("a.wav", pcm(tone(20, 8000), rate=8000))
    regions = [
        Span(0, *pair) for pair in [(0, 9), (1, 2), (1.5, 2.25), (8, 12.3), (19, 20), (3, 4)]
    ]
    at_once, _, whole = ask(Decoder(ALL, 1 << 30), request(path, regions))
    in_pieces, _, answers = ask(Decoder(ALL, send_bytes), request(path, regions))
    assert len(whole) == 1
    assert len(answers) > 2 or send_bytes > 30_000
    for number, pairs in at_once.items():
        assert [span for span, _ in pairs] == [span for span, _ in in_pieces[number]]
        for (_, one), (_, other) in zip(pairs, in_pieces[number], strict=True):
            assert np.array_equal(one, other)
    assert [span.index for span, _ in at_once[10]] == list(range(len(at_once[10])))
    assert len(at_once[10]) > len(at_once[11]) == 1
    starts = [span.start_seconds for answer in answers for span in answer.spans]
    assert starts == sorted(starts), "in the order of time, whatever region they are of"


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_spans_of_a_film_hold_what_it_shows_and_sounds_then(
    kind: str, store: Store, encode_video: Make, numbered: Make, numbers: Make, tone: Make
) -> None:
    path = store("film.mp4", encode_video(numbered(75), sound=tone(3)))
    regions = [Span(0, 0.4, 1.2), Span(0, 1.0, 1.4), Span(0, 2.2, 2.8)]
    values, faults, _ = ask(Decoder(ALL), request(path, regions, kind))
    assert not faults
    for number, ((span, each),) in values.items():
        assert span == regions[number - 10]
        alone = ALL[kind].load(path, span)
        assert np.abs(each.astype(float) - ALL[kind](alone)).max() <= 1e-5
        if kind == "video":
            shown = [round(each * 25) for each in alone.pts_seconds.tolist()]
            assert numbers(alone.frames) == shown
            assert all(span.start_seconds - 0.04 <= n / 25 < span.end_seconds for n in shown)


def test_a_region_that_is_not_there_costs_itself(store: Store, pcm: Make, tone: Make) -> None:
    path = store("a.wav", pcm(tone(5, 8000), rate=8000))
    regions = [Span(0, 1, 2), Span(0, 4, 7), Span(0, 6, 7), Span(0, 3, 4)]
    values, faults, _ = ask(Decoder(ALL), request(path, regions))
    assert faults == {
        11: "m.csv, row 1, column end_s: 7 is beyond the end, at 5.00 s",
        12: "m.csv, row 2, column start_s: 6 is beyond the end, at 5.00 s",
    }
    assert {number: len(pairs) for number, pairs in values.items()} == {10: 1, 11: 0, 12: 0, 13: 1}
    assert len(ask(Decoder(ALL), request(path, [Span(0, 8, 9)]))[1]) == 1


def test_a_span_with_broken_sound_costs_itself(store: Store) -> None:
    samples = np.random.default_rng(2).normal(0, 0.1, 8 * 8000).astype(np.float32)
    samples[2 * 8000 + 100] = np.nan
    path = store("a.wav", b"")
    soundfile.write(path, samples, 8000, subtype="FLOAT")
    regions = [Span(0, 0, 1), Span(0, 1, 4.5), Span(0, 2, 3), Span(0, 2.5, 3.5), Span(0, 5, 6)]
    values, faults, _ = ask(Decoder(ALL), request(path, regions))
    assert list(faults) == [11, 12]
    assert all("NaN" in fault for fault in faults.values())
    assert [len(values[number]) for number in (10, 12, 13, 14)] == [1, 0, 1, 1]


@pytest.mark.parametrize("allowed", [False, True])
def test_a_file_that_stops_early_has_the_spans_before(
    allowed: bool, store: Store, pcm: Make, tone: Make
) -> None:
    whole = pcm(tone(10, 8000), rate=8000)
    path = store("torn.wav", whole[: 44 + 5 * 16000])
    regions = [Span(0, 1, 2), Span(0, 4.5, 5.5), Span(0, 8, 9), Span(0, 9, 11)]
    values, faults, answers = ask(Decoder(ALL, allow_truncated=allowed), request(path, regions))
    assert set(faults) == ({12, 13} if allowed else {11, 12, 13})
    end = "is beyond the end, at 5.00 s of 10.00 s that its header declares"
    assert faults[12] == f"m.csv, row 2, column start_s: 8 {end}"
    assert faults[13] == f"m.csv, row 3, column start_s: 9 {end}"
    assert len(values[10]) == 1
    if allowed:
        ((span, each),) = values[11]
        assert (span.start_seconds, span.end_seconds) == (4.5, pytest.approx(5.0, abs=1e-3))
        assert len(each) == pytest.approx(4000, abs=2)
        assert [number for answer in answers for number in answer.short] == [11]
    else:
        assert faults[11].startswith("stops after 5.0 s of 10.0 s")


def test_a_file_that_is_something_else_costs_all_of_its_regions(
    store: Store, picture: Make
) -> None:
    path = store("a.wav", picture("PNG", Image.new("RGB", (8, 8))))
    (answer,) = told(Decoder(ALL), [request(path, [Span(0, 0, 1)])])
    assert isinstance(answer, DecodeFailure)
    assert answer.message == "is image by its content, but the manifest says audio"
