# Debian, because python3-rados and python3-rbd are built for Debian's own Python and exist nowhere else.
FROM debian:bookworm-slim AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv python3-rados python3-rbd
WORKDIR /src
COPY constraints.txt pyproject.toml README.md ./
RUN python3 -m venv /opt/sutler \
 && /opt/sutler/bin/pip install --no-cache-dir --require-hashes -r constraints.txt
COPY certs certs
COPY provisioner provisioner
COPY sutler sutler
COPY webhook webhook
RUN /opt/sutler/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && ln -s /usr/lib/python3/dist-packages/rados.*.so /usr/lib/python3/dist-packages/rbd.*.so \
    /opt/sutler/lib/python3.11/site-packages/

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-rados python3-rbd ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/sutler /opt/sutler
ENV PATH=/opt/sutler/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, not a name: runAsNonRoot can be checked by the kubelet without reading the image's passwd.
USER 65532:65532
ENTRYPOINT ["python3", "-m"]
CMD ["webhook"]
