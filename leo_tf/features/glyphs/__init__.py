"""Generator of the built-in data set "glyphs": real letterforms, rendered, embedded and written as package data.

`python -m leo_tf.features.glyphs --output=FOLDER` does all of it. What it writes is read by `leo_tf.data.glyphs`, which
needs none of this package.

    fonts       matplotlib's typefaces and the clean shape of a character
    lookalikes  which shapes are too alike to be two classes
    characters  the classes: scripts, meta-splits, selection
    render      one example as a pure function of (seed, code point, number)
    network     the convolutional network and its embedding
    difficulty  how hard the tasks are, before any meta-learning
    build       the three splits, the weights and the description, on disk
    sheet       a picture of the data
"""
