# Debian, because python3-rados and python3-rbd are built for Debian's own Python and exist nowhere else. This release,
# because its librados (20.2.4) is the first in Debian that reads the secrets of a cluster made by a current Ceph.
FROM debian:forky-slim AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv
WORKDIR /src
RUN python3 -m venv /opt/sutler
# Everything that is pinned, checked by its hash. What only development needs stays behind in /wheels.
COPY constraints.txt ./
RUN /opt/sutler/bin/pip wheel --require-hashes --requirement constraints.txt --wheel-dir /wheels
COPY LICENSE pyproject.toml README.md ./
COPY certs certs
COPY provisioner provisioner
COPY sutler sutler
COPY webhook webhook
RUN /opt/sutler/bin/pip wheel --no-deps --no-index --find-links /wheels --wheel-dir /wheels . \
 && /opt/sutler/bin/pip install --no-index --find-links /wheels sutler \
 && /opt/sutler/bin/pip uninstall --yes pip setuptools

FROM debian:forky-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-rados python3-rbd ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/sutler /opt/sutler
RUN ln -s /usr/lib/python3/dist-packages/rados.*.so /usr/lib/python3/dist-packages/rbd.*.so \
    /opt/sutler/lib/python3.*/site-packages/
ENV PATH=/opt/sutler/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, not a name: runAsNonRoot can be checked by the kubelet without reading the image's passwd.
USER 65532:65532
ENTRYPOINT ["python3", "-m"]
CMD ["webhook"]
