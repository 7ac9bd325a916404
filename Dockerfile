# leo_tf on CPU. Runs and converted data are kept in two volumes:
#
#   docker build --tag leo_tf .
#   docker run --rm -v leo-runs:/work/runs -v leo-cache:/cache leo_tf leo-tf train --flagfile=configs/quickstart.cfg
#   docker run --rm -v leo-runs:/work/runs -v leo-cache:/cache leo_tf leo-tf evaluate --checkpoint_path=runs/quickstart
#
# Any other command works the same way: `leo-tf export ...`, `bash`. For your own data add `-v /path/to/data:/data:ro` and
# `--data_path=/data`. To write into a folder of the host instead of a volume, add
# `--user "$(id -u):$(id -g)" -v "$PWD/runs:/work/runs"`. After `docker stop` a training saves before it ends.
FROM python:3.11-slim

# Open to every user, so that `--user` works.
RUN useradd --uid 1000 --create-home leo && \
    install --directory --owner leo --group leo --mode 1777 /work /work/runs /cache

WORKDIR /src
COPY LICENSE README.md constraints.txt pyproject.toml setup.py ./
COPY configs configs
COPY leo_tf leo_tf
RUN pip install --no-cache-dir --constraint constraints.txt '.[plots,reproduce,sklearn]' && \
    cp -r configs /work/configs

WORKDIR /work
ENV XDG_CACHE_HOME=/cache PYTHONUNBUFFERED=1
VOLUME ["/work/runs", "/cache"]
USER leo
CMD ["leo-tf", "--help"]
