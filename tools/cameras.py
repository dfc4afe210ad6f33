"""Cameras for the README: people drawn at their desks, as films that Chromium takes for cameras.

Nobody's face, licence or consent is needed for a drawing. Chromium reads a film as Motion JPEG, which is
nothing but JPEG pictures one after the other, so Chromium itself can make one from drawings.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from pathlib import Path

from playwright.sync_api import Browser

WIDTH, HEIGHT = 1280, 720
FRAMES = 40
"""One breath, at the 20 frames a second that a film is played with."""


@dataclass(frozen=True)
class Look:
    """The colours of one person and their room."""

    wall: str
    shelf: str
    books: tuple[str, ...]
    skin: str
    hair: str
    jumper: str
    long_hair: bool


ADA = Look(
    wall="#e9dcc3",
    shelf="#a87e4e",
    books=("#1c5c48", "#b5523b", "#d9a441", "#3d5a80", "#7a4b6b", "#5d7f5b"),
    skin="#c98d63",
    hair="#33231c",
    jumper="#b5523b",
    long_hair=True,
)
GRACE = Look(
    wall="#33475b",
    shelf="#5b4331",
    books=("#d9a441", "#7cc7a6", "#c96f4a", "#8aa5c4", "#e8d8b0", "#a3586d"),
    skin="#eec39f",
    hair="#a4623a",
    jumper="#7cc7a6",
    long_hair=False,
)


def film(browser: Browser, look: Look, path: Path) -> Path:
    """Write a film of somebody who sits there, breathes and blinks, to `path` (ending in .mjpeg)."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    with path.open("wb") as file:
        for frame in range(FRAMES):
            page.set_content(drawing(look, frame / FRAMES))
            file.write(page.screenshot(type="jpeg", quality=92))
    page.close()
    return path


def drawing(look: Look, at: float) -> str:
    """The picture at a time `at` of the film, from 0 to 1."""
    breath = 4 * (1 - cos(2 * pi * at))
    lids = 1.5 if 0.7 <= at < 0.75 else 9
    return f"""<body style="margin:0"><svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 1280 720">
      <rect width="1280" height="720" fill="{look.wall}"/>
      {shelf(look, 120)}{shelf(look, 330)}
      <circle cx="1150" cy="250" r="330" fill="#f2c66d" opacity=".2"/>
      <path d="M1090 150h120l46 110h-212Z" fill="#1c5c48"/>
      <path d="M1044 262h212" stroke="#f7dd9f" stroke-width="8"/>
      <path d="M1150 262v320" stroke="#b98a3a" stroke-width="14"/>
      <g transform="translate(640 {400 + breath})">{person(look, lids)}</g>
      <rect y="640" width="1280" height="80" fill="{look.shelf}"/>
      <path d="M420 660q110-40 220 0q110-40 220 0v30h-440Z" fill="#fbf5e6"/>
      <path d="M640 660v30" stroke="#c9bfa8" stroke-width="4"/>
    </svg>"""


def shelf(look: Look, y: int) -> str:
    """A board with books on it."""
    books = [
        f'<rect x="{60 + 34 * index}" y="{y - height}" width="28" height="{height}" rx="3" fill="{colour}"/>'
        for index, (colour, height) in enumerate(
            zip(look.books * 2, (96, 110, 84, 104, 90, 114) * 2, strict=True)
        )
    ]
    return f'{"".join(books)}<rect x="40" y="{y}" width="470" height="14" rx="4" fill="{look.shelf}"/>'


def person(look: Look, lids: float) -> str:
    """Head and shoulders, the chin at the origin."""
    long_hair = (
        f'<path d="M-108-150c-50 90-30 200-4 250h224c26-50 46-160-4-250Z" fill="{look.hair}"/>'
        if look.long_hair
        else ""
    )
    eyes = "".join(f'<ellipse cx="{x}" cy="-98" rx="9" ry="{lids}" fill="#2a211c"/>' for x in (-42, 42))
    return f"""{long_hair}
      <path d="M-46-30h92v90h-92Z" fill="{look.skin}"/>
      <path d="M-46 0q46 44 92 0v22q-46 40-92 0Z" opacity=".14"/>
      <path d="M-250 330q-14-230 160-280q90 60 180 0q174 50 160 280Z" fill="{look.jumper}"/>
      <ellipse cx="0" cy="-90" rx="104" ry="126" fill="{look.skin}"/>
      <path d="M-112-84q-26-158 112-158t112 158q-14-70-54-92q-70 30-128 6q-32 22-42 86Z" fill="{look.hair}"/>
      {eyes}
      <path d="M-34-34q34 30 68 0" fill="none" stroke="#7c4632" stroke-width="7" stroke-linecap="round"/>
      <path d="M0-84q-12 26 2 30" fill="none" stroke="#000" stroke-opacity=".2" stroke-width="6"/>
      <path d="M-118-90a118 132 0 0 1 236 0" fill="none" stroke="#2c3531" stroke-width="13"/>
      <rect x="-132" y="-118" width="34" height="66" rx="15" fill="#2c3531"/>
      <rect x="98" y="-118" width="34" height="66" rx="15" fill="#2c3531"/>"""
