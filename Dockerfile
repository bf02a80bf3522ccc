# docker build -t udaseg .                             for CPUs
# docker build -t udaseg --build-arg DEVICE=cuda .     for GPUs of NVIDIA, to be run with `--gpus all`
# How to run it: docs/how-to/container.md
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG DEVICE=cpu
RUN python -m venv /opt/udaseg
ENV PATH=/opt/udaseg/bin:$PATH
# torch first: it is the largest part and changes least. Its usual wheels bring the CUDA libraries. pyproject.toml says
# which versions will do.
# hadolint ignore=DL3013
RUN if [ "$DEVICE" = cpu ]; then set -- --index-url https://download.pytorch.org/whl/cpu; fi \
    && pip install --no-cache-dir "$@" torch torchvision
COPY . /src
RUN pip install --no-cache-dir '/src[all]'

FROM python:${PYTHON}-slim
COPY --from=build /opt/udaseg /opt/udaseg
# Caches go to /tmp, so that any user may run it (--user)
ENV PATH=/opt/udaseg/bin:$PATH HOME=/tmp
RUN useradd --uid 1000 udaseg && install -d -o udaseg /data
USER 1000
WORKDIR /data
ENTRYPOINT ["udaseg"]
CMD ["--help"]
