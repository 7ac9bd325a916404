"""Sheets of images with a word on each."""

from pathlib import Path

from leo_tf.errors import InputError, require_package
from leo_tf.evaluation import plots
from leo_tf.files import expanded

_SIDE = 160


class Images:
    """The images that embeddings are of.

    Args:
      folder: that they were extracted from.
      paths: text [rows], below it; None where it is not known which image a row is of.

    Raises:
      InputError: it is not known, or the images are not there.
    """

    def __init__(self, folder, paths):
        require_package("PIL", "Showing images")
        self._folder, self._paths = expanded(folder), paths
        if paths is None:
            raise InputError(
                f"Got images={folder}, but the embeddings do not say which image they are of; expected embeddings by "
                "python -m leo_tf.features.extract in its npz layout. Leave it out."
            )
        first = self._path(0)
        if not first.is_file():
            raise InputError(f"Got images={folder}, where there is no {paths[0]}; give the folder extracted from.")

    def _path(self, row) -> Path:
        return self._folder / self._paths[row]

    def thumbnail(self, row):
        """Return a small PIL.Image of a row."""
        from PIL import Image

        try:
            with Image.open(self._path(row)) as image:
                small = image.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(
                f"Cannot read the image {self._path(row)} ({error}); put it back as it was when it was extracted, or "
                "leave out images."
            ) from None
        small.thumbnail((_SIDE, _SIDE))
        return small


def sheet(images, lines):
    """Draw images in lines.

    Args:
      images: Images.
      lines: list of (text before the line, [(row, text above the image)]).

    Returns:
      matplotlib Figure.
    """
    columns = max(len(shown) for _, shown in lines)
    figure = plots.new_figure(1.35 * columns + 0.4, 1.75 * len(lines))
    grid = figure.subplots(len(lines), columns, squeeze=False)
    for line, (before, shown) in zip(grid, lines, strict=True):
        for axes, (row, text) in zip(line, shown, strict=False):
            axes.imshow(images.thumbnail(row), cmap="gray")
            axes.set_title(text, fontsize="x-small")
        for axes in line:
            axes.axis("off")
        line[0].text(0, 1.32, before, transform=line[0].transAxes, fontsize="small", va="bottom")
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.02, top=1 - 0.5 / figure.get_figheight(), hspace=0.65)
    return figure
