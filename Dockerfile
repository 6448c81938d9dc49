# One image for every process; its command says which (docs/deployment.md). BASE may be any image
# with Python 3.12 to 3.14 and its venv module; name it by digest to have the same one next time.
ARG BASE=python:3.13-slim-trixie
# The same Python with a C compiler and its header files; nothing of it is in the image.
ARG BUILD_BASE=python:3.13-trixie

FROM ${BUILD_BASE} AS build
# pip's environment stays behind: the one that is deployed has no pip.
RUN python3 -m venv /pip && python3 -m venv --without-pip /opt/venv
COPY requirements.lock .
RUN /pip/bin/pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --only-binary :all: \
    --require-hashes -r requirements.lock
# Nothing here loads these: names of places for phone numbers, sources of translations. 55 MB.
RUN cd /opt/venv/lib/python3*/site-packages && rm -r phonenumbers/geodata phonenumbers/carrierdata \
    && find . -name '*.po' -delete
WORKDIR /app
COPY manage.py ./
COPY api api
COPY domain domain
COPY settings settings
COPY workers workers
RUN /opt/venv/bin/python -m settings.catalogues && find . -name '*.po' -delete
# Reads cost a third less so (docs/performance.md). The sources stay, for tracebacks.
COPY requirements-native.lock deploy/native.py /native/
RUN /pip/bin/pip install --no-cache-dir --no-compile --only-binary :all: \
    --require-hashes -r /native/requirements-native.lock \
    && /pip/bin/python /native/native.py --python /opt/venv/bin/python /app
# The root is read-only when it runs, so it is compiled now; by hash, because times differ between builds.
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib /app

FROM ${BASE}
# The standard library too: python:slim comes without its compiled files.
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -x '/(test|idlelib|tkinter|turtledemo|ensurepip|dist-packages|site-packages)/' \
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && echo 'rollcall:x:10001:10001::/nonexistent:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'rollcall:x:10001:' >> /etc/group
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
# Nothing but METRICS_DIR and temporary files is written to: both are in /tmp.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=settings.prod METRICS_DIR=/tmp/metrics WEB_CONCURRENCY=2
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Rollcall" \
      org.opencontainers.image.description="A cache-first user service" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# By number: with `runAsNonRoot` Kubernetes refuses a name.
USER 10001:10001
EXPOSE 8000 8001
# Of the read process; the write process has port 8001, and the others none.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
CMD ["gunicorn", "--config", "python:api.http_server.gunicorn_config", "--bind", "0.0.0.0:8000", \
     "api.reads.app:Application"]
