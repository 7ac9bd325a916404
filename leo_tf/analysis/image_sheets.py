"""Figures of captioned images in lines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leo_tf.errors import InputError, require_package
from leo_tf.evaluation import plots
from leo_tf.files import expanded

_SIDE = 160  # pixels of a thumbnail
Line = tuple[str, list[tuple[int, str]]]  # text above the line, [(row, text above the image)]


class Images:
    """The images behind embeddings.

    Args:
      folder: the folder that the embeddings were extracted from.
      paths: path of each row's image in that folder, text [rows]; None where the embeddings do not keep them.

    Raises:
      InputError: the paths are unknown, or the images are not there.
    """

    def __init__(self, folder: str, paths: Any) -> None:
        require_package("PIL", "Showing images")
        self._folder, self._paths = expanded(folder), paths
        if paths is None:
            raise InputError(
                f"Got images={folder}, but the embeddings do not keep the paths of their images; expected embeddings "
                "that python -m leo_tf.features.extract wrote in its npz layout. Leave images out.",
                "images",
            )
        if not self._path(0).is_file():
            raise InputError(
                f"Got images={folder}, where there is no {paths[0]}; give the folder that the embeddings were "
                "extracted from.",
                "images",
            )

    def _path(self, row: int) -> Path:
        return self._folder / self._paths[row]

    def thumbnail(self, row: int) -> Any:
        """Return a small PIL.Image of a row."""
        from PIL import Image

        try:
            with Image.open(self._path(row)) as image:
                small = image.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(
                f"Cannot read the image {self._path(row)} ({error}); restore the file that was extracted, or leave out "
                "images.",
                "images",
            ) from None
        small.thumbnail((_SIDE, _SIDE))
        return small


def draw_sheet(images: Images, lines: Sequence[Line]) -> Any:
    """Draw lines of images; return a matplotlib Figure."""
    columns = max(len(shown) for _, shown in lines)
    figure = plots.new_figure(1.35 * columns + 0.4, 1.75 * len(lines))
    grid = figure.subplots(len(lines), columns, squeeze=False)
    for line, (title, shown) in zip(grid, lines, strict=True):
        for axes, (row, text) in zip(line, shown, strict=False):
            axes.imshow(images.thumbnail(row), cmap="gray")
            axes.set_title(text, fontsize="x-small")
        for axes in line:
            axes.axis("off")
        line[0].text(0, 1.32, title, transform=line[0].transAxes, fontsize="small", va="bottom")
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.02, top=1 - 0.5 / figure.get_figheight(), hspace=0.65)
    return figure
