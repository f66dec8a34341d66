//! What the runtime itself can tell: how busy its threads are, and how much waits for them.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, MetricFamily};
use prometheus::{Counter, Error, IntGauge};
use tokio::runtime::RuntimeMetrics;

/// Asks the runtime whenever `/metrics` is read; between, it costs nothing.
pub(crate) struct RuntimeCollector {
    runtime: RuntimeMetrics,
    workers: IntGauge,
    tasks: IntGauge,
    queue: IntGauge,
    /// Always at zero: what is shown is a copy of it that was raised.
    busy: Counter,
}

impl RuntimeCollector {
    pub(crate) fn new(runtime: RuntimeMetrics) -> Result<Self, Error> {
        Ok(Self {
            runtime,
            workers: IntGauge::new("tertulia_runtime_workers", "Threads that run the node's tasks.")?,
            tasks: IntGauge::new("tertulia_runtime_tasks", "Tasks that have begun and not ended.")?,
            queue: IntGauge::new("tertulia_runtime_queue_tasks", "Tasks that are ready and that no thread has taken.")?,
            busy: Counter::new(
                "tertulia_runtime_busy_seconds_total",
                "Time that threads spent on tasks, of all together.",
            )?,
        })
    }

    fn busy_seconds(&self) -> f64 {
        let workers = 0..self.runtime.num_workers();
        workers.map(|worker| self.runtime.worker_total_busy_duration(worker).as_secs_f64()).sum()
    }
}

impl Collector for RuntimeCollector {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = [&self.workers, &self.tasks, &self.queue].into_iter().flat_map(Collector::desc);
        gauges.chain(self.busy.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.workers.set(self.runtime.num_workers() as i64);
        self.tasks.set(self.runtime.num_alive_tasks() as i64);
        self.queue.set(self.runtime.global_queue_depth() as i64);
        let mut busy = self.busy.collect();
        for metric in busy.iter_mut().flat_map(MetricFamily::mut_metric) {
            let mut counter = proto::Counter::default();
            counter.set_value(self.busy_seconds());
            metric.set_counter(counter);
        }
        let gauges = [&self.workers, &self.tasks, &self.queue].into_iter().flat_map(Collector::collect);
        gauges.chain(busy).collect()
    }
}
