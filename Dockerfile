# The server alone, with settings.production: docs/development.md names the variables it needs.
#
# For a release the base is pinned by its digest, which `make release-check` asks for:
#     docker buildx imagetools inspect python:3.12-slim        # prints Digest: sha256:…
#     docker build --build-arg BASE=python:3.12-slim@sha256:…  # or write it into the next line
ARG BASE=python:3.12-slim
FROM ${BASE}

ENV DJANGO_SETTINGS_MODULE=settings.production \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1

RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin scorer
WORKDIR /app
COPY requirements.txt ./
RUN pip install --requirement requirements.txt
COPY manage.py ./
COPY settings settings
COPY api api
COPY scorer_fast scorer_fast
RUN python -m compileall -q api scorer_fast settings \
    && SECRET_KEY=used-while-the-image-is-built-only-0123456789 CGRANTS_API_TOKEN=build \
       CERAMIC_CACHE_SCORER_ID=1 TRUSTED_IAM_ISSUERS=build ALLOWED_HOSTS=build \
       DATABASE_URL=postgres://build@localhost/build REDIS_URL=redis://localhost/0 \
       python manage.py collectstatic --noinput --verbosity 0

USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", \
    "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/scorer-fast/health', timeout=2)"]
# WEB_CONCURRENCY sets the number of workers (one a core), GUNICORN_CMD_ARGS whatever else.
CMD ["gunicorn", "settings.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", \
     "--threads", "2", "--worker-tmp-dir", "/dev/shm", "--no-control-socket"]
