//! Building a node that is not the one under test: with other features, or from a changed copy of the sources.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Builds the program from the sources in `tree`, in the profile of this test, with features such as `tertulia/failpoints`, and returns where it is.
///
/// `scratch` is `env!("CARGO_TARGET_TMPDIR")` of a test: what is beside it and was compiled already is used again. The program
/// itself goes to a folder called `name` there, so that the one that other tests run is not touched.
///
/// A copy must call its packages by another version: Cargo tells packages apart by name, version and place in the workspace, and would
/// take the copy's for ours.
///
/// # Panics
/// When it cannot be built, with what the compiler said.
pub fn node(tree: &Path, scratch: &str, name: &str, features: &[&str]) -> PathBuf {
    let compiled = Path::new(scratch).parent().expect("a folder for what is compiled");
    let place = compiled.join(name);
    let (profile, folder) = if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What a test is told about its own package would look like news to build scripts, and have their crates compiled again.
    for (variable, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of| variable.to_string_lossy().starts_with(of)) {
            cargo.env_remove(variable);
        }
    }
    let output = cargo
        .current_dir(tree)
        .args(["build", "--quiet", "--profile", profile])
        // The whole workspace, and the examples that it does not have: so dependencies get the features that they have when
        // all tests are built, and need not be compiled another time for this.
        .args(["--workspace", "--bin=tertulia", "--examples"])
        .arg(format!("--features={}", features.join(",")))
        .arg("--target-dir")
        .arg(&place)
        .env("CARGO_BUILD_BUILD_DIR", compiled)
        .stdin(Stdio::null())
        .output()
        .expect("there is a cargo");
    assert!(output.status.success(), "{name} cannot be built: {}", String::from_utf8_lossy(&output.stderr));
    let program = place.join(folder).join("tertulia");
    assert!(program.exists(), "{name} was built, but is not at {}", program.display());
    program
}
