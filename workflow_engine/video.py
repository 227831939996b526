"""Videos as streams of images, and images as a video, through PyAV (FFmpeg)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from workflow_engine.data import Image
from workflow_engine.errors import WorkflowError
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import av
    import cv2
    import numpy as np
else:
    av = LazyModule("av")
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")

CODECS = ("libx264", "h264", "mpeg4")
"""Encoders in the order of preference; which of them there are depends on the build of FFmpeg."""

_LATEST = 1_000_000_000
"""Seconds into a video, more than thirty years; FFmpeg counts microseconds in 64 bits."""


class VideoError(WorkflowError):
    """A video cannot be read or written; the message says which and why."""


class Video:
    """A video file, a stream address or a camera device, to be read once from beginning to end.

    Attributes:
        rate: frames a second that come out of it, with the stride taken into account; None where the container does not say.
        size: width and height of its frames in pixels, as they are shown.

    Args:
        source: a path, an address such as `rtsp://...`, or a camera device such as `/dev/video0`.
        stride: take every n-th frame.
        start: seconds to leave out at the beginning.
        end: seconds at which to stop.

    Raises:
        VideoError: it cannot be opened, or holds no pictures.
    """

    def __init__(self, source: str | Path, *, stride: int = 1, start: float = 0.0, end: float | None = None) -> None:
        if not (stride >= 1 and 0 <= start <= _LATEST and (end is None or end > start)):  # this way round, NaN does not fit
            raise ValueError(f"stride={stride}, start={start}, end={end}; stride >= 1 and 0 <= start < end would fit, "
                             f"and {_LATEST:,} seconds at most to leave out")  # fmt: skip
        self._source, self._stride, self._start, self._end = source, stride, start, end
        camera = str(source).startswith("/dev/video")
        try:
            self._container: Any = av.open(str(source), format="v4l2" if camera else None)
        except (OSError, ValueError) as error:  # FFmpeg's errors are both
            raise VideoError(f"`{source}` cannot be opened as a video: {_reason(error)}") from error
        if not self._container.streams.video:
            self._container.close()
            raise VideoError(f"`{source}` holds no video stream")
        self._stream: Any = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        rate = self._stream.average_rate
        self.rate = float(rate) / stride if rate else None
        self.size = (int(self._stream.width), int(self._stream.height))

    @property
    def frames(self) -> int:
        """How many frames will come, about; 0 where the container does not say."""
        rate = self.rate or 0.0
        length = float(self._stream.duration * self._stream.time_base) if self._stream.duration else 0.0
        return round(max(0.0, min(length, self._end or length) - self._start) * rate)

    def __iter__(self) -> Iterator[Image]:
        """The frames, each with its time.

        Raises:
            VideoError: the file is damaged; what came before it is whole.
        """
        taken = 0
        begin = float((self._stream.start_time or 0) * self._stream.time_base)
        try:
            if self._start > 0:
                with contextlib.suppress(OSError):  # what cannot be sought is read from its beginning
                    self._container.seek(int((begin + self._start) * 1_000_000))
            for number, frame in enumerate(self._container.decode(self._stream)):
                timed = frame.time is not None
                seconds = float(frame.time) - begin if timed else number / float(self._stream.average_rate or 30)
                if seconds < self._start - 1e-6:
                    continue
                if self._end is not None and seconds >= self._end:
                    return
                if taken % self._stride == 0:
                    place = 1 + round(seconds * float(self._stream.average_rate or 30))
                    yield Image(_upright(frame), name=self._name(seconds), seconds=seconds, frame=place)
                taken += 1
        except (OSError, ValueError) as error:
            raise VideoError(f"`{self._source}` is damaged after {taken} frames: {_reason(error)}") from error
        finally:
            self._container.close()

    def _name(self, seconds: float) -> str:
        """What a frame is called: the video's name and its milliseconds."""
        return f"{Path(str(self._source)).stem}_{round(seconds * 1000):08d}"

    def close(self) -> None:
        """Let go of the file or the camera."""
        self._container.close()


def _upright(frame: Any) -> Any:
    """The pixels of a frame `[height, width, 3]` in BGR, turned as the camera was held."""
    pixels = frame.to_ndarray(format="bgr24")
    turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


class VideoWriter:
    """Writes images of one size as a video; the first image says the size.

    Args:
        path: the file; its suffix says the container (`.mp4`, `.mkv`, `.webm`, ...).
        rate: frames a second.

    Raises:
        VideoError: the container is not known, or the file cannot be written.
    """

    def __init__(self, path: str | Path, rate: float) -> None:
        self._path = Path(path)
        try:
            self._container: Any = av.open(str(path), "w")
        except (OSError, ValueError) as error:
            raise VideoError(f"`{path}` cannot be written: {_reason(error)}; a name such as out.mp4 would fit") from error
        self._rate = Fraction(rate).limit_denominator(1001)
        self._stream: Any = None
        self._size = (0, 0)

    def write(self, image: Image) -> None:
        """Append an image; one of another size is fitted into the size of the first.

        Raises:
            VideoError: the file cannot be written any more.
        """
        pixels = image.bgr
        if self._stream is None:
            self._size = (image.width + image.width % 2, image.height + image.height % 2)  # codecs want even sides
            self._stream = self._container.add_stream(self._codec(), rate=self._rate)
            self._stream.width, self._stream.height = self._size
            self._stream.pix_fmt = "yuv420p"
        self._encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(_fitted(pixels, self._size)), format="bgr24"))

    def _encode(self, frame: Any) -> None:
        """Encode a frame, or with None what is left, into the file."""
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (OSError, ValueError) as error:
            raise VideoError(f"`{self._path}` cannot be written: {_reason(error)}") from error

    def _codec(self) -> str:
        if self._path.suffix.lower() == ".webm":
            return "libvpx-vp9"
        return next(name for name in CODECS if name in av.codecs_available)

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        if self._stream is not None:
            self._encode(None)
        try:
            self._container.close()
        except OSError as error:
            raise VideoError(f"`{self._path}` cannot be written: {_reason(error)}") from error

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _fitted(pixels: Any, size: tuple[int, int]) -> Any:
    """Pixels in the upper left corner of a black frame of a size, made smaller where they do not fit."""
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    share = min(1.0, size[0] / width, size[1] / height)
    if share < 1:
        pixels = cv2.resize(pixels, (int(width * share), int(height * share)), interpolation=cv2.INTER_AREA)
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    canvas[: pixels.shape[0], : pixels.shape[1]] = pixels
    return canvas
