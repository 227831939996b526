"""Videos are read and written for real: clips of drawn frames."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from workflow_engine import Image, Video, VideoError, VideoWriter

RATE = 10.0
FRAMES = 30


def level(number: int) -> int:
    return 20 + 7 * number


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip whose n-th frame is grey of the n-th level, its left half black."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    with VideoWriter(path, RATE) as writer:
        for number in range(FRAMES):
            pixels = np.full((48, 64, 3), level(number), np.uint8)
            pixels[:, :32] = 0
            writer.write(Image(pixels))
    return path


def numbers(frames: Iterator[Image] | Video) -> list[int]:
    return [round((float(frame.bgr[:, 40:].mean()) - 20) / 7) for frame in frames]


def test_a_clip_comes_back_frame_by_frame_with_its_times(clip: Path) -> None:
    video = Video(clip)
    assert (video.rate, video.size, video.frames) == (RATE, (64, 48), FRAMES)
    frames = list(video)
    assert numbers(iter(frames)) == list(range(FRAMES))
    assert [frame.seconds for frame in frames] == pytest.approx([number / RATE for number in range(FRAMES)], abs=1e-3)
    assert all(frame.bgr[:, :24].mean() < 8 for frame in frames)
    assert len({frame.name for frame in frames}) == FRAMES and str(frames[15].name).endswith("_00001500")


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({"stride": 4}, list(range(0, 30, 4))),
        ({"start": 1.0}, list(range(10, 30))),
        ({"end": 0.5}, list(range(5))),
        ({"start": 0.75, "end": 2.0, "stride": 3}, [8, 11, 14, 17]),
        ({"start": 2.9}, [29]),
        ({"start": 10.0}, []),
    ],
)
def test_a_part_of_a_clip(clip: Path, how: dict[str, float], wanted: list[int]) -> None:
    video = Video(clip, **how)  # type: ignore[arg-type]
    expected = video.frames
    assert numbers(video) == wanted and abs(expected - len(wanted)) <= 1
    assert video.rate == pytest.approx(RATE / how.get("stride", 1))


def test_parts_that_make_no_sense_are_told(clip: Path) -> None:
    for how in ({"stride": 0}, {"start": -1.0}, {"start": 2.0, "end": 1.0}):
        with pytest.raises(ValueError, match="would fit"):
            Video(clip, **how)  # type: ignore[arg-type]


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"absent\.mp4` cannot be opened as a video: No such file"):
        Video(tmp_path / "absent.mp4")
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(VideoError, match=r"text\.mp4` cannot be opened as a video: Invalid data"):
        Video(tmp_path / "text.mp4")
    with av.open(str(tmp_path / "sound.wav"), "w") as sound:
        stream = sound.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        sound.mux(stream.encode(frame))
    with pytest.raises(VideoError, match=r"sound\.wav` holds no video stream"):
        Video(tmp_path / "sound.wav")
    with pytest.raises(VideoError, match=r"a name such as out\.mp4 would fit"):
        VideoWriter(tmp_path / "out.nothing", RATE)


def test_a_damaged_clip_gives_what_is_whole_before_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "torn.mkv"
    rng = np.random.default_rng(0)
    with VideoWriter(path, RATE) as writer:
        for _ in range(60):
            writer.write(Image(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    seen = 0
    try:
        for _ in Video(path):
            seen += 1
    except VideoError as error:
        assert "torn.mkv` is damaged after" in str(error)
    assert 10 < seen < 60


def test_frames_are_turned_as_the_camera_was_held(clip: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    with av.open(str(clip)) as source, av.open(str(turned), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    matrix = np.array([0, 65536, 0, -65536, 0, 0, 48 * 65536, 0, 1 << 30], ">i4").tobytes()  # a quarter turn to the right
    data = bytearray(turned.read_bytes())
    plain = np.array([65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30], ">i4").tobytes()
    track = data.index(b"tkhd")
    place = data.index(plain, track)
    data[place : place + len(plain)] = matrix
    turned.write_bytes(bytes(data))
    frame = next(iter(Video(turned)))
    assert frame.size == (48, 64)
    assert frame.bgr[:24].mean() < 8 < frame.bgr[40:].mean()  # what was on the left is above now


def test_images_of_odd_and_different_sizes_make_one_video(tmp_path: Path) -> None:
    path = tmp_path / "sizes.mp4"
    with VideoWriter(path, 29.97) as writer:
        for width, height in ((33, 21), (33, 21), (80, 20), (10, 10)):
            writer.write(Image(np.full((height, width, 3), 200, np.uint8)))
    video = Video(path)
    assert video.rate == pytest.approx(29.97, abs=0.01)
    frames = list(video)
    assert [frame.size for frame in frames] == [(34, 22)] * 4
    assert frames[3].bgr[2:8, 2:8].mean() > 180 and frames[3].bgr[14:, 14:].mean() < 20


def test_a_rate_is_kept_as_a_fraction(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "f.mp4", 30000 / 1001) as writer:
        writer.write(Image(np.zeros((16, 16, 3), np.uint8)))
    with av.open(str(tmp_path / "f.mp4")) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
