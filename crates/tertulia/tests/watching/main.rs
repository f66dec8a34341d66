//! What watches a cluster, held against one that is used: Prometheus's rules and Grafana's dashboards.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod grafana;
mod prometheus;
mod watched;
