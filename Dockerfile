# vepe serve in a container. For the CPU:
#     docker build -t vepe .
# For NVIDIA GPUs, with PyTorch and the CUDA libraries that its wheels bring:
#     docker build -t vepe:cuda --build-arg EXTRAS=serve,torch .
# The weights of the presets lie in the image; nothing is loaded from the network at run time.
ARG PYTHON=3.12-slim-bookworm

FROM python:${PYTHON} AS build
ARG EXTRAS=serve
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY src src
RUN python -m venv /opt/vepe \
    && /opt/vepe/bin/pip install --no-cache-dir --constraint constraints.txt hatchling \
    && /opt/vepe/bin/pip install --no-cache-dir --constraint constraints.txt \
        --no-build-isolation ".[${EXTRAS}]" \
    && /opt/vepe/bin/pip uninstall --yes hatchling

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="vepe serve" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/vepe /opt/vepe
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin vepe \
    && install --directory --owner vepe --mode 0700 /data
ENV PATH=/opt/vepe/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 \
    VEPE_CACHE=/tmp/vepe
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# Other containers and the host can connect, so the server asks for VEPE_TOKEN when it starts.
ENTRYPOINT ["vepe", "serve", "--host", "0.0.0.0", "--data", "/data"]
