//! Where messages are kept.

use std::fs::File;
use std::path::Path;

use store::{LoneFile, PostgresStore, Schema, Server, SqliteStore, Step, Survey};

use super::report::Report;
use crate::config::ServeConfig;
use crate::open::{self, Place};

/// Clocks that differ by more make the times of messages look wrong to people. Nothing is ordered by them.
const CLOCKS_MS: i64 = 2_000;

pub(super) async fn look(config: &ServeConfig, report: &mut Report) {
    let place = Place::of(config);
    let found = match &place {
        Place::Postgres(url) => PostgresStore::survey(url, &open::postgres_config(config)).await,
        Place::Sqlite(path) => SqliteStore::survey(path, &open::sqlite_config(config)).await,
    };
    let survey = match found {
        Ok(survey) => survey,
        Err(error) => {
            let advice = if error.is_passing() { "does it run, and is everything in DATABASE_URL right?" } else { "" };
            return report.problem("database", format!("{}: {}", place.shown(), error.why()), advice);
        }
    };
    reached(&place, &survey, report);
    schema(&survey, config, report);
    durability(&survey, config, report);
    if let Some(server) = &survey.server {
        of_server(server, config, report);
    }
    if let Some(file) = &survey.file {
        folder(file, report);
    }
}

fn reached(place: &Place, survey: &Survey, report: &mut Report) {
    let what = format!("{} at {}", survey.product, place.shown());
    match (&survey.server, &survey.file) {
        (Some(server), _) if server.reads_only => {
            let what = format!("{what} is a standby or read-only");
            report.problem("database", what, "let DATABASE_URL name the primary");
        }
        (Some(server), _) if server.is_old => {
            report.warning("database", format!("{what} is no longer cared for"), "move to Postgres 14 or later");
        }
        (_, Some(file)) if file.in_use => report.ok("database", format!("{what}, in use by a node now")),
        (_, Some(file)) if !file.exists => report.ok("database", format!("{what}, which the first node makes")),
        _ => report.ok("database", what),
    }
}

fn schema(survey: &Survey, config: &ServeConfig, report: &mut Report) {
    let Schema { applied, pending, newer } = &survey.schema;
    let names = |steps: &[Step]| steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(version) = newer.last() {
        let what = format!("a newer version of this program has migrated the database (up to {version})");
        if config.allow_newer_migrations {
            report.warning("migrations", what, "go back to that version when you can");
        } else {
            let advice = "start that version or a newer one, or give --allow-newer-migrations to go back to this one";
            report.problem("migrations", what, advice);
        }
    } else if pending.is_empty() {
        report.ok("migrations", format!("{} applied, none missing", applied.len()));
    } else if survey.server.is_some_and(|server| !server.may_migrate) {
        let what = format!("{} missing, and this role may not make tables", pending.len());
        report.problem(
            "migrations",
            what,
            "give it the right to (GRANT CREATE ON SCHEMA public), or connect as another",
        );
    } else if applied.is_empty() {
        report.ok("migrations", "none yet: the first node applies them");
    } else {
        let what = format!("{} missing ({})", pending.len(), names(pending));
        report.warning("migrations", what, "the next node that starts applies them, and so does `tertulia migrate`");
    }
}

fn durability(survey: &Survey, config: &ServeConfig, report: &mut Report) {
    let Some(durability) = &survey.durability else {
        return report.ok("durability", "each node makes SQLite wait for the disk (synchronous=full)");
    };
    let settings: Vec<String> = durability.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if durability.weaknesses.is_empty() {
        report.ok("durability", settings.join(", "));
    } else if config.allow_weak_durability {
        report.warning("durability", durability.weaknesses.join("; "), "allowed by --allow-weak-durability");
    } else {
        let advice = "to serve all the same, give --allow-weak-durability";
        report.problem("durability", durability.weaknesses.join("; "), advice);
    }
}

fn of_server(server: &Server, config: &ServeConfig, report: &mut Report) {
    let (needed, free) = (i64::from(config.writers) + i64::from(config.readers), server.seats - server.taken);
    let what = format!("{free} of {} free, {needed} wanted by this node", server.seats);
    if free < needed {
        let advice = "raise max_connections, or lower --writers and --readers; a node that runs already has its own";
        report.warning("connections", what, advice);
    } else {
        report.ok("connections", what);
    }
    let (apart, way) =
        (server.clock_ahead_ms.saturating_abs(), if server.clock_ahead_ms < 0 { "behind" } else { "ahead of" });
    if apart > CLOCKS_MS {
        let what = format!("the database's is {} s {way} this machine's", apart / 1000);
        report.warning("clock", what, "let both follow a time server (NTP)");
    } else {
        report.ok("clock", format!("the database's is {apart} ms {way} this machine's"));
    }
}

/// By trying: rights alone do not tell whether a disk is mounted to be read only.
fn folder(file: &LoneFile, report: &mut Report) {
    let folder = file.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let trial = there.join(format!(".tertulia-doctor-{}", std::process::id()));
    let tried = File::create_new(&trial).and_then(|_| std::fs::remove_file(&trial)).and_then(|()| match file.exists {
        true => File::options().write(true).open(&file.path).map(drop),
        false => Ok(()),
    });
    let shown = folder.display();
    match tried {
        Ok(()) if there == folder => report.ok("data folder", format!("{shown} can be written")),
        Ok(()) => report.ok("data folder", format!("{shown} can be made")),
        Err(error) => {
            let advice = "give the user that runs the node the right to write there, or choose another with --data-dir";
            report.problem("data folder", format!("{shown} cannot be written: {error}"), advice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn report_on(server: Server, flags: &[&str]) -> String {
        let args = ["tertulia", "doctor"].iter().chain(flags).map(Into::into);
        let asked = config::read(args).unwrap_or_else(|error| panic!("{error}"));
        let survey = Survey {
            product: "Postgres 17.1".into(),
            schema: Schema::default(),
            durability: None,
            server: Some(server),
            file: None,
        };
        let mut report = Report::default();
        reached(&Place::Postgres("postgres://db/chat".into()), &survey, &mut report);
        of_server(&server, asked.command.config(), &mut report);
        report.to_string()
    }

    #[test]
    fn a_server_is_judged_by_what_it_says() {
        let good =
            Server { is_old: false, reads_only: false, may_migrate: true, clock_ahead_ms: -1999, seats: 97, taken: 85 };
        assert!(report_on(good, &[]).ends_with("0 problems, 0 warnings\n"));
        for (server, line) in [
            (
                Server { reads_only: true, ..good },
                "problem  database     Postgres 17.1 at postgres://db/chat is a standby",
            ),
            (Server { is_old: true, ..good }, "warning  database "),
            (Server { taken: 86, ..good }, "warning  connections  11 of 97 free, 12 wanted"),
            (Server { clock_ahead_ms: 2001, ..good }, "warning  clock        the database's is 2 s ahead of"),
            (Server { clock_ahead_ms: -90_000, ..good }, "warning  clock        the database's is 90 s behind"),
        ] {
            let report = report_on(server, &[]);
            assert!(report.contains(line), "{line} is not in {report}");
        }
        assert!(report_on(good, &["--writers=5"]).contains("13 wanted"));
    }
}
