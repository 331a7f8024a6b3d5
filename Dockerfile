# The base is Debian, because python3-rados and python3-rbd are built for Debian's own Python and are on no package index. This
# release is the first whose librados (20.2.4) reads the keys of a cluster that a current Ceph created.
FROM debian:forky-slim AS dependencies
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv
# pip has its own environment, so that the environment it installs into contains no pip.
RUN python3 -m venv /pip \
 && python3 -m venv --without-pip /opt/sutler
WORKDIR /src
# All pinned packages, checked by their hashes. Packages for development only stay behind in /wheels.
COPY constraints.txt ./
RUN /pip/bin/pip wheel --require-hashes --requirement constraints.txt --wheel-dir /wheels
# Dependencies come before Sutler itself: a change of Sutler's source then changes only the last, small layer.
COPY pyproject.toml ./
RUN python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
    > dependencies.txt \
 && /pip/bin/pip --python /opt/sutler/bin/python3 install --no-index --find-links /wheels --requirement dependencies.txt \
 && cd /opt/sutler/lib/python3.*/site-packages \
# Sutler imports none of the generated classes: objects are plain JSON. They are a third of all dependencies.
 && rm -rf kubernetes_asyncio/client/api kubernetes_asyncio/client/models CHANGELOG.md \
 && find . -depth -type d '(' -name tests -o -name test ')' -exec rm -rf '{}' +

FROM dependencies AS build
COPY LICENSE README.md ./
COPY certs certs
COPY provisioner provisioner
COPY sutler sutler
COPY webhook webhook
RUN /pip/bin/pip --python /opt/sutler/bin/python3 install --root /own --no-deps --no-index --find-links /wheels .

FROM debian:forky-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-rados python3-rbd ca-certificates \
# librbd brings cryptsetup's library, and that its administration: no process of the container starts or calls it.
 && dpkg --purge --force-depends --force-remove-protected dmsetup systemd udev \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/debconf/* /var/log/* /usr/share/doc/* /usr/share/info/* /usr/share/locale/* /usr/share/man/* \
    /usr/lib/python3*/test /usr/lib/python3*/pydoc_data /usr/lib/python3*/idlelib /usr/lib/python3*/turtledemo
COPY --from=dependencies /opt/sutler /opt/sutler
RUN ln -s /usr/lib/python3/dist-packages/rados.*.so /usr/lib/python3/dist-packages/rbd.*.so \
    /opt/sutler/lib/python3.*/site-packages/
COPY --from=build /own /
# The user is in no passwd. A runtime may then set no HOME, and the Kubernetes client needs one.
ENV PATH=/opt/sutler/bin:$PATH HOME=/ PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, not a name: the kubelet can then check runAsNonRoot without the image's passwd.
USER 65532:65532
ENTRYPOINT ["python3", "-m"]
CMD ["webhook"]
