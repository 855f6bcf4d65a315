"""Frames that an environment has rendered, as an animation or as a sheet of pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Optional, Sequence

import gymnasium as gym
import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: Height of the strip above a frame that says what it shows, pixels.
_STRIP = 20
#: Between the pictures of a sheet, pixels.
_GAP = 6
_PAPER = "white"
_INK = "black"


@dataclass(frozen=True)
class Layout:
    """How large and how fast; widths in pixels."""

    #: Every so many steps one is filmed, and the end.
    every: int
    #: How long an animation shows a frame.
    frame_ms: int
    gif_width: int
    #: Of a sheet: at most so many frames, evenly spaced in time, read line by line.
    columns: int
    rows: int
    picture_width: int


@dataclass
class Film:
    """What ``env.render()`` gave, step by step, each frame with a caption."""

    layout: Layout
    frames: list[tuple[np.ndarray, str]] = field(default_factory=list)

    def add(self, frame: np.ndarray, caption: str) -> None:
        """``frame``: u1 of shape (height, width, 3)."""
        self.frames.append((frame, caption))

    def save(self, gif: Optional[str], png: Optional[str]) -> None:
        """To the files that are given."""
        if gif:
            self.save_gif(gif)
        if png:
            self.save_sheet(png)

    def save_gif(self, file: str) -> None:
        """All frames, one after the other."""
        pictures = [_picture(frame, self.layout.gif_width) for frame in self.frames]
        duration = self.layout.frame_ms
        pictures[0].save(
            file, "GIF", save_all=True, append_images=pictures[1:], duration=duration, loop=0
        )

    def save_sheet(self, file: str) -> None:
        """Some of the frames side by side, as a PNG."""
        columns = self.layout.columns
        count = min(columns * self.layout.rows, len(self.frames))
        chosen = np.linspace(0, len(self.frames) - 1, count).round().astype(int)
        pictures = [_picture(self.frames[at], self.layout.picture_width) for at in chosen]
        step_x, step_y = pictures[0].width + _GAP, pictures[0].height + _GAP
        size = (columns * step_x - _GAP, math.ceil(count / columns) * step_y - _GAP)
        sheet = Image.new("RGB", size, _PAPER)
        for at, picture in enumerate(pictures):
            sheet.paste(picture, (at % columns * step_x, at // columns * step_y))
        # Rendered scenes have few colours: with a palette they take a third of the bytes.
        sheet.quantize(128).save(file, "PNG", optimize=True)


class Filmed(gym.Wrapper[Any, Any, Any, Any]):
    """An environment of discrete actions that films its episodes.

    Each frame shows what the policy saw, and says what it did then; the last one how it ended.
    ``env`` was made with ``render_mode="rgb_array"``.
    """

    def __init__(
        self, env: gym.Env[Any, Any], film: Film, action_names: Sequence[str], failure: str
    ) -> None:
        super().__init__(env)
        self._film = film
        self._action_names = action_names
        self._failure = failure
        self._step = 0

    def reset(self, **options: Any) -> Any:
        self._step = 0
        return self.env.reset(**options)

    def step(self, action: Any) -> Any:
        if self._step % self._film.layout.every == 0:
            self._add(self._action_names[int(action)])
        self._step += 1
        outcome = self.env.step(action)
        _, _, terminated, truncated, _ = outcome
        if terminated or truncated:
            self._add(self._failure if terminated else "time")
        return outcome

    def _add(self, what: str) -> None:
        self._film.add(np.asarray(self.env.render()), f"step {self._step}: {what}")


def _picture(frame: tuple[np.ndarray, str], width: int) -> Image.Image:
    """The frame, scaled to ``width``, below its caption."""
    pixels, caption = frame
    scene = Image.fromarray(pixels)
    height = round(scene.height * width / scene.width)
    scene = scene.resize((width, height), Image.Resampling.LANCZOS)
    picture = Image.new("RGB", (width, height + _STRIP), _PAPER)
    picture.paste(scene, (0, _STRIP))
    ImageDraw.Draw(picture).text((3, 3), caption, fill=_INK, font=ImageFont.load_default(13))
    return picture
