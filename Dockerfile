# syntax=docker/dockerfile:1
# A node in a container. Its data is a volume; the API is on the container's loopback, where `docker exec` reaches it.
#
#   docker build -t polypeer .
#   docker run -d --name node -p 16111:16111 -v polypeer:/var/lib/polypeer polypeer run --network kaspa-mainnet
#   docker exec node polypeer status

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Registry and target folder are kept from build to build, but are no part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked -p polypeer && install -D -m 755 -s target/release/polypeer /out/polypeer

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="polypeer" \
      org.opencontainers.image.description="One peer-to-peer engine that speaks five networks' protocols" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/polypeer --shell /usr/sbin/nologin polypeer \
    && install -d -m 0700 -o polypeer -g polypeer /var/lib/polypeer
COPY --from=build /out/polypeer /usr/bin/polypeer
USER 10001:10001
# The default data folder, for the daemon and for every command that asks it, is /var/lib/polypeer.
ENV XDG_DATA_HOME=/var/lib NO_COLOR=1
VOLUME /var/lib/polypeer
# AnYa, Hello and its tracker, Kaspa's four, BUMO's three, Mina: publish the one that you run. 7330 and 7331 are the API
# and the metrics, inside the container's loopback unless --api and --metrics say otherwise.
EXPOSE 7333 7444 7440 16111 16211 16511 16611 16001 26001 36001 8302
# Alive, not in sync: a node that catches up for a day is healthy.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["polypeer", "status"]
# PID 1 hears SIGTERM and ends in order within 5 s.
ENTRYPOINT ["polypeer"]
CMD ["--help"]
