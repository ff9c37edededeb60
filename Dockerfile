# One image for every process of the platform: bitcorp api | worker lanes | worker views | topics apply | migrate ...
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /app
RUN python -m venv /venv
COPY .ci/tools.txt .ci/
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r .ci/tools.txt
COPY pyproject.toml requirements.txt ./
# Only what the product imports; versions and hashes are those of requirements.txt.
RUN /venv/bin/uv pip install --no-cache --compile-bytecode --python /venv/bin/python --verify-hashes --constraints requirements.txt -r pyproject.toml
COPY . .
RUN /venv/bin/uv pip install --no-cache --python /venv/bin/python --no-deps --no-build-isolation --editable . \
    && /venv/bin/uv pip uninstall --python /venv/bin/python uv setuptools pip \
    && /venv/bin/python -m compileall -q agents api domain ops topics views

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin bitcorp
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 BITCORP_DIRECTORY=/tmp/bitcorp
WORKDIR /app
USER bitcorp
EXPOSE 8080 9100
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "/app/ops/health.py"]
ENTRYPOINT ["bitcorp"]
CMD ["api"]
