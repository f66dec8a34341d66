//! Tests of the judge: clean runs, in which it must find nothing, and runs with a planted fault, which it must find.

mod clean;
mod model;
mod planted;
mod random;
