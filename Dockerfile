# leo_tf on CPU. Runs and converted data stay in two volumes:
#
#   docker build --tag leo_tf .
#   docker run --rm -v leo-runs:/work/runs -v leo-cache:/cache leo_tf leo-train --flagfile=configs/quickstart.cfg
#   docker run --rm -v leo-runs:/work/runs -v leo-cache:/cache leo_tf leo-evaluate --checkpoint_path=runs/quickstart
#
# Any other command goes in the same place: `python -m leo_tf.export ...`, `bash`. For data of your own add
# `-v /path/to/data:/data:ro` and `--data_path=/data`; to write into a folder of the host instead of a volume,
# `--user "$(id -u):$(id -g)" -v "$PWD/runs:/work/runs"`. `docker stop` lets a training save before it ends.
FROM python:3.11-slim

# Open to every user, so that `--user` works.
RUN useradd --uid 1000 --create-home leo && \
    install --directory --owner leo --group leo --mode 1777 /work /work/runs /cache

WORKDIR /src
COPY LICENSE README.md constraints.txt pyproject.toml setup.py ./
COPY leo_tf leo_tf
RUN pip install --no-cache-dir --constraint constraints.txt '.[plots,reproduce,sklearn]'

COPY configs /work/configs
WORKDIR /work
ENV XDG_CACHE_HOME=/cache PYTHONUNBUFFERED=1
VOLUME ["/work/runs", "/cache"]
USER leo
CMD ["leo-train", "--help"]
