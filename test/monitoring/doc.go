// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package monitoring holds config/prometheus to the metrics that labguard has and to the documentation: alerts, their runbooks, the dashboard, and how
// Prometheus finds labguard. Queries are parsed with Prometheus' own parser, the dashboard with Grafana's own schema. What alerts say about series over time is
// tested with promtool, where that is installed (Debian has it in the package prometheus).
package monitoring
