//! What an operator sees of the work in the background.

use prometheus::{Gauge, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use store::KindCount;
use tally::Tally;

/// How a run ended. The label of `tertulia_tasks_runs_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is done, and the store knows.
    Done,
    /// It failed, and is tried again.
    Failed,
    /// It failed, and is not tried again.
    Dead,
    /// The time for it was up.
    TimedOut,
    /// It panicked.
    Panicked,
    /// The claim was lost meanwhile: somebody else runs it.
    Lost,
    /// It was not finished when this node left.
    GivenBack,
}

impl Ending {
    const ALL: [Self; 7] =
        [Self::Done, Self::Failed, Self::Dead, Self::TimedOut, Self::Panicked, Self::Lost, Self::GivenBack];

    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::TimedOut => "timed_out",
            Self::Panicked => "panicked",
            Self::Lost => "lost",
            Self::GivenBack => "given_back",
        }
    }
}

/// The series of tasks, all of them there from the start. Cheap to clone.
#[derive(Clone)]
pub struct TasksMetrics {
    kinds: Vec<String>,
    runs: IntCounterVec,
    buried: IntCounterVec,
    run_seconds: HistogramVec,
    running: IntGaugeVec,
    waiting: IntGaugeVec,
    dead: IntGaugeVec,
    due_seconds: Gauge,
    leads: IntGauge,
    pub(crate) queue_up: IntGauge,
    pub(crate) offered: IntCounter,
    pub(crate) claimed_queue: IntCounter,
    pub(crate) claimed_store: IntCounter,
    pub(crate) errors: IntCounter,
}

impl TasksMetrics {
    /// Makes the series of these kinds and shows them in a registry.
    ///
    /// # Errors
    /// If the registry already has one of them.
    pub fn register(registry: &Registry, kinds: &[&str]) -> Result<Self, prometheus::Error> {
        let runs = IntCounterVec::new(
            Opts::new("tertulia_tasks_runs_total", "Attempts at tasks that ended on this node, by how."),
            &["kind", "ending"],
        )?;
        for kind in kinds {
            Ending::ALL.iter().for_each(|ending| _ = runs.with_label_values(&[*kind, ending.as_str()]));
        }
        registry.register(Box::new(runs.clone()))?;
        let claimed = registry.counters(
            "tertulia_tasks_claimed_total",
            "Tasks that this node took: as the queue told it, or straight from the store because the queue was away.",
            "way",
            &["queue", "store"],
        )?;
        Ok(Self {
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            runs,
            buried: registry.counters(
                "tertulia_tasks_buried_total",
                "Tasks that this node gave up for good: dead letters.",
                "kind",
                kinds,
            )?,
            run_seconds: registry.seconds_by("tertulia_tasks_run_seconds", "Time that an attempt took.", "kind", kinds)?,
            running: registry.gauges("tertulia_tasks_running", "Tasks under way on this node.", "kind", kinds)?,
            waiting: registry.gauges(
                "tertulia_tasks_waiting",
                "Tasks that wait, to 10,000. Only the node that hands out tells; 0 on the others.",
                "kind",
                kinds,
            )?,
            dead: registry.gauges(
                "tertulia_tasks_dead",
                "Tasks that are not tried any more, to 10,000. Only the node that hands out tells; 0 on the others.",
                "kind",
                kinds,
            )?,
            due_seconds: registry.level(
                "tertulia_tasks_due_seconds",
                "How long the oldest task that waits has been due. Only the node that hands out tells; 0 on the others.",
            )?,
            leads: registry.gauge("tertulia_tasks_leads", "1 on the node that hands out what is due.")?,
            queue_up: registry.gauge(
                "tertulia_tasks_queue_up",
                "1 while the queue hands out tasks; otherwise they are taken straight from the store. 0 where nobody works.",
            )?,
            offered: registry.counter("tertulia_tasks_offered_total", "Ids of due tasks that this node put in the queue.")?,
            claimed_queue: claimed.with_label_values(&["queue"]),
            claimed_store: claimed.with_label_values(&["store"]),
            errors: registry
                .counter("tertulia_tasks_errors_total", "Questions about tasks that the store did not answer.")?,
        })
    }

    pub(crate) fn began(&self, kind: &str) {
        self.running.with_label_values(&[kind]).inc();
    }

    pub(crate) fn ended(&self, kind: &str, ending: Ending, seconds: f64) {
        self.running.with_label_values(&[kind]).dec();
        self.run_seconds.with_label_values(&[kind]).observe(seconds);
        self.runs.with_label_values(&[kind, ending.as_str()]).inc();
    }

    pub(crate) fn buried(&self, kind: &str) {
        self.buried.with_label_values(&[kind]).inc();
    }

    pub(crate) fn lead(&self, leads: bool) {
        self.leads.set(leads.into());
        if !leads {
            self.count(&[]);
        }
    }

    /// Shows how many there are. Kinds that this program does not know have no series, but what is due of them counts.
    pub(crate) fn count(&self, counts: &[KindCount]) {
        for kind in &self.kinds {
            let of = counts.iter().find(|count| count.kind == *kind);
            let (waiting, dead) = of.map_or((0, 0), |count| (count.waiting, count.dead));
            self.waiting.with_label_values(&[kind.as_str()]).set(waiting.cast_signed());
            self.dead.with_label_values(&[kind.as_str()]).set(dead.cast_signed());
        }
        let oldest = counts.iter().map(|count| count.due_for).max().unwrap_or_default();
        self.due_seconds.set(oldest.as_secs_f64());
    }
}

/// What rooms forget. Cheap to clone.
#[derive(Clone)]
pub struct RetainMetrics {
    pub(crate) forgotten: IntCounter,
}

impl RetainMetrics {
    /// Makes the series and shows them in a registry.
    ///
    /// # Errors
    /// If the registry already has one of them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let forgotten = registry.counter(
            "tertulia_retention_forgotten_total",
            "Messages whose rows this node let go, because their rooms do not keep them.",
        )?;
        Ok(Self { forgotten })
    }
}
