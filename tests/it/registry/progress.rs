//! `--progress=json`: what a program is told while images move.

use serde_json::Value;

use super::program::Home;
use super::server::{Login, Server, Speech};

/// The lines on standard error, each of which has to be JSON.
fn lines(home: &Home, args: &[&str]) -> Vec<Value> {
    let out = home.run(args);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{args:?}: {said}");
    said.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn of<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

/// Every item ends as it began; gives fetched, reused and bytes of the summary, which is the last line.
fn summary(lines: &[Value]) -> [u64; 3] {
    for start in of(lines, "start") {
        let of_it: Vec<_> = lines.iter().filter(|line| line["id"] == start["id"]).collect();
        let end = of_it.last().unwrap();
        assert_eq!(end["event"], "end");
        let mut before = 0;
        for advance in &of_it[1..of_it.len() - 1] {
            let done = advance["done"].as_u64().unwrap();
            assert!(done > before && start["bytes"].as_u64().is_none_or(|all| done <= all), "{of_it:?}");
            before = done;
        }
        if end["outcome"] == "done" && !start["bytes"].is_null() {
            assert_eq!(end["done"], start["bytes"]);
        }
    }
    let last = lines.last().unwrap();
    assert_eq!(last["event"], "summary");
    assert!(last["seconds"].as_f64().unwrap() > 0.0);
    ["fetched", "reused", "bytes"].map(|key| last[key].as_u64().unwrap())
}

#[test]
fn items_and_a_summary() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let (home, insecure, json) = (Home::new(), "--tls-verify=false", "--progress=json");
    let image = format!("{}/app:1", server.address);
    let push = format!("--push=docker://{image}");
    let build = ["--repo=repo", "container", "build", "--ref=main", insecure, &push, json];
    let built = lines(&home, &build);
    let [1, 0, size] = summary(&built) else { panic!("{built:?}") };
    let end = of(&built, "end")[0];
    assert_eq!((end["done"].as_u64(), &end["outcome"]), (Some(size), &"done".into()));
    let digest = end["item"].as_str().unwrap();
    assert!(digest.starts_with("sha256:"), "{digest}");

    // The layer is there already.
    let again = lines(&home, &build);
    assert_eq!(summary(&again), [0, 1, 0]);
    assert_eq!(
        (&of(&again, "end")[0]["outcome"], &of(&again, "end")[0]["item"]),
        (&"reused".into(), &end["item"])
    );

    let unverified = format!("ostree-unverified-registry:{image}");
    let pulled = lines(&home, &["--repo=new", "container", "pull", insecure, json, &unverified]);
    assert_eq!(summary(&pulled), [1, 0, size]);
    assert_eq!(of(&pulled, "start")[0]["item"], digest);
    assert_eq!(of(&pulled, "phase")[0]["name"], "Pulling image");

    // --json counts the same.
    home.ok(&["--repo=other", "init", "--mode=bare-user"]);
    for expected in [[1, 0, size], [0, 1, 0]] {
        let told = home.ok(&["--repo=other", "container", "pull", insecure, "--json", &unverified]);
        let told: Value = serde_json::from_str(&told).unwrap();
        let counts = ["layers_fetched", "layers_reused", "bytes_fetched"].map(|key| told[key].as_u64());
        assert_eq!(counts, expected.map(Some), "{told}");
    }

    // The configuration is a blob too; the second time all is there.
    let source = format!("docker://{image}");
    let copy = ["container", "copy", insecure, json, "--json", &source, "oci:copy:1"];
    let copied = lines(&home, &copy);
    let [2, 0, bytes] = summary(&copied) else { panic!("{copied:?}") };
    assert!(bytes > size);
    assert_eq!(summary(&lines(&home, &copy)), [0, 2, 0]);

    // Without a terminal nothing is said unasked.
    for quiet in ["--progress=auto", "--progress=none", "--quiet"] {
        let out = home.run(&["container", "copy", insecure, quiet, &source, "oci:copy:3"]);
        assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    }
}

/// People are told in a line of their own, and a program in the last one; there is no summary.
#[test]
fn a_failure_is_the_last_line() {
    let home = Home::new();
    let copy = ["container", "copy", "--tls-verify=false", "docker://127.0.0.1:9/x:1", "oci:copy:2"];
    let out = home.run(&[&copy[..], &["--progress=json"]].concat());
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8(out.stderr).unwrap();
    let lines: Vec<_> = said.lines().collect();
    let [.., human, json] = lines[..] else { panic!("{said}") };
    let event: Value = serde_json::from_str(json).expect(json);
    let message = event["message"].as_str().unwrap();
    assert_eq!((&event["event"], human), (&"error".into(), &*format!("error: {message}")));
    assert!(message.contains("127.0.0.1:9") && !said.contains("summary"), "{said}");
    // Whoever did not ask for JSON gets none.
    assert_eq!(home.fails(&copy), format!("{human}\n"));
}
