"""Package metadata of leo_tf. Tool settings (ruff, mypy, pytest) are in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """build_py that also copies configs/ into the package; an editable install finds it beside the package."""

    def run(self):
        super().run()
        if not self.editable_mode:
            shutil.copytree("configs", Path(self.build_lib) / "leo_tf" / "configs", dirs_exist_ok=True)


setup(
    name="leo_tf",
    version="0.1.0",
    description="Meta-learning with Latent Embedding Optimization (LEO) in TensorFlow 2 and Keras 3",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "leo_tf/data/glyphs/NOTICE.md"],
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["leo_tf", "leo_tf.*"]),
    package_data={
        "leo_tf": ["py.typed"],
        "leo_tf.analysis": ["templates/*"],
        "leo_tf.data.glyphs": ["*.npz", "*.json", "*.md"],
        "leo_tf.files": ["templates/*"],
        "leo_tf.predict": ["templates/*"],
        "leo_tf.reproduce": ["templates/*"],
        "leo_tf.search": ["templates/*"],
    },
    cmdclass={"build_py": BuildWithConfigs},
    install_requires=[
        "absl-py",
        "filelock>=3.31.2",  # fallback_to_soft
        "keras>=3.15,<3.16",
        "numpy",
        "requests",
        "scipy",
        "setuptools; python_version >= '3.12'",  # tensorflow-probability 0.25 imports distutils
        "tensorboard>=2.21",  # tensorflow 2.21 no longer brings it, and tf.summary needs it
        "tensorflow>=2.21,<2.22",
        "tensorflow-probability>=0.25,<0.26",
        "tf-keras>=2.21,<2.22",  # only because importing tensorflow_probability needs it
        "tqdm",
    ],
    extras_require={
        "analysis": ["jinja2", "markdown", "matplotlib", "pillow>=11", "scikit-learn>=1.6"],
        "and-cuda": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "docs": ["jupytext", "mkdocs<2", "mkdocs-material", "mkdocstrings[python]"],  # make docs, make notebook
        "images": ["jinja2", "markdown", "pillow>=11"],  # leo_tf.features, ImageFewShotClassifier, leo_tf.predict
        "plots": ["matplotlib"],  # figures of validations and evaluations
        "ray": ["ray>=2.60"],  # --executor=ray
        "reproduce": ["jinja2", "markdown", "matplotlib"],
        "search": ["jinja2", "markdown", "matplotlib", "optuna>=5,<6", "scikit-learn>=1.6"],
        "serving": ["tensorflow-serving-api>=2.19,<2.22"],
        "sklearn": ["scikit-learn>=1.6"],
        "umap": ["umap-learn>=0.5.12"],  # leo_tf.analysis, beside t-SNE
        "dev": [
            *(
                "build",
                "hypothesis",
                "jinja2",
                "markdown",
                "matplotlib",
                "mypy",
                "optuna>=5,<6",
                "pillow>=11",
                "pytest",
                "pytest-xdist",
                "pyyaml",
                "ruff",
                "scikit-learn>=1.6",
            ),
            "tensorflow-serving-api>=2.19,<2.22",
        ],
        "dev-all": ["leo_tf[dev,ray]"],  # make test-all
    },
    entry_points={
        "console_scripts": [
            "leo-tf = leo_tf.__main__:main",
        ],
    },
)
