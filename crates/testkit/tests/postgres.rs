//! The Postgres that tests run on.

use testkit::postgres::Postgres;

#[test]
fn a_server_keeps_its_data_over_stop_and_kill_and_leaves_nothing_behind() {
    let mut server = Postgres::start();
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    server.execute(database, "CREATE TABLE t (n int)");
    server.stop();
    server.start_again();
    server.execute(database, "INSERT INTO t VALUES (7)");
    server.kill();
    server.start_again();
    assert_eq!(server.execute(database, "SELECT n FROM t").trim(), "7");

    let (folder, pid) = (server.folder().to_owned(), server.pid().unwrap());
    drop(server);
    assert!(!folder.exists());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}
