# One image for read, write, worker and relay; compose.yaml shows how they are started.
FROM python:3.13-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DJANGO_SETTINGS_MODULE=settings.prod \
    METRICS_DIR=/tmp/metrics
WORKDIR /app
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY manage.py ./
COPY api api
COPY domain domain
COPY settings settings
COPY workers workers
# By number: with `runAsNonRoot` Kubernetes refuses a name. Only METRICS_DIR is written to.
RUN useradd --no-create-home --no-log-init --uid 10001 rollcall
USER 10001:10001
EXPOSE 8000
CMD ["gunicorn", "--config", "python:api.http_server.gunicorn_config", "--bind", "0.0.0.0:8000", \
     "--workers", "2", "api.reads.app:Application"]
