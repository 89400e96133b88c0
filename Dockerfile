# Copyright The labguard Authors.
# SPDX-License-Identifier: Apache-2.0

# For who prefers a container engine to `make images`, which makes the same images without one (docs/container-images.md). labguard's own tests
# hold the text of this file against those images, but build it nowhere.
#
#   docker build --target manager --tag registry.example/labguard/manager \
#     --build-arg REVISION="$(git rev-parse HEAD)" --build-arg CREATED="$(git log -1 --format=%cI)" --build-arg VERSION="$(git describe --tags --always)" .
#   docker build --target airlock --tag registry.example/labguard/airlock ...

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
# Set by the engine, by --platform or by what it runs on; a default here would take their place.
ARG TARGETOS TARGETARCH
WORKDIR /labguard
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The revision gets into the programs if .git is in the build context, as a folder.
RUN CGO_ENABLED=0 GOOS=${TARGETOS:-linux} GOARCH=${TARGETARCH:-amd64} GOWORK=off go build -trimpath -ldflags="-s -w" -o /programs/ ./cmd/manager ./cmd/airlock

FROM scratch AS airlock
ARG REVISION VERSION CREATED
LABEL org.opencontainers.image.title="labguard airlock" \
      org.opencontainers.image.description="The sidecar that speaks mutual TLS for an application that does not" \
      org.opencontainers.image.source="https://github.com/labguard/labguard" \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.created=$CREATED \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /programs/airlock /airlock
WORKDIR /
USER 64000:64000
ENTRYPOINT ["/airlock"]

FROM scratch AS manager
ARG REVISION VERSION CREATED
LABEL org.opencontainers.image.title="labguard manager" \
      org.opencontainers.image.description="The operator of labguard: its controllers and its webhooks" \
      org.opencontainers.image.source="https://github.com/labguard/labguard" \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.created=$CREATED \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /programs/manager /manager
WORKDIR /
USER 65532:65532
ENTRYPOINT ["/manager"]
