//! Whether a commit survives a power cut.

/// The settings in force, read back from the database itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durability {
    /// Name and value of each setting that matters, for the log and the metric.
    pub settings: Vec<(&'static str, String)>,
    /// One sentence for each setting that is too weak, saying what to do; empty when all is well.
    pub weaknesses: Vec<String>,
}
