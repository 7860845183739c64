//! A process of the product: started with pipes, watched line by line, ended by its id.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for anything; a machine under load gets its time.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Prints a measured figure for whoever reads the test's output.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("stderr");
}

pub(super) fn binary(name: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_BIN_EXE_talkbridge"));
    let path = own.with_file_name(name);
    assert!(path.exists(), "{} is missing; run: cargo build --workspace --bins", path.display());
    path
}

/// A process of the product, with its JSON lines.
pub(crate) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    errors: Arc<Mutex<String>>,
    /// Read stdout and stderr to their end, which is the end of the process.
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a program of the product.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(binary(name))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let errors: Arc<Mutex<String>> = Arc::default();
        let (out, kept) = (child.stdout.take().expect("piped"), Arc::clone(&lines));
        let out = thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                kept.lock().expect("no panic").push(value);
            }
        });
        let (err, kept) = (child.stderr.take().expect("piped"), Arc::clone(&errors));
        let err = thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let mut kept = kept.lock().expect("no panic");
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Self { child, lines, errors, readers: vec![out, err] }
    }

    /// The events so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.lines.lock().expect("no panic").clone()
    }

    /// What it wrote to stderr so far.
    pub(crate) fn errors(&self) -> String {
        self.errors.lock().expect("no panic").clone()
    }

    /// Everything it said, for the message of a failure.
    fn said(&self) -> String {
        let events: String = self.events().iter().map(|event| format!("{event}\n")).collect();
        format!("stdout:\n{events}stderr:\n{}", self.errors())
    }

    /// Asks until there is an answer. Fails when the process has ended and said everything, or when patience has.
    pub(super) fn until<T>(&self, what: &str, ask: impl Fn(&Self) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let ended = self.readers.iter().all(JoinHandle::is_finished);
            if let Some(answer) = ask(self) {
                return answer;
            }
            assert!(!ended, "no {what}: the process has ended; {}", self.said());
            assert!(Instant::now() < until, "no {what} within {PATIENCE:?}; {}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for an event for which the test says yes, from the `from`th line on.
    pub(crate) fn wait_from(&self, from: usize, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.until(what, |process| process.events().into_iter().skip(from).find(&fits))
    }

    /// Waits for an event by its name.
    pub(crate) fn wait(&self, event: &str) -> Value {
        self.wait_from(0, event, |value| value["event"] == event)
    }

    /// Its number in the system.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let done = Command::new("kill").args(["-s", name, &id]).status().expect("kill exists");
        assert!(done.success(), "kill -s {name} {id}");
    }

    /// Waits for its end and for its last lines; the exit status.
    pub(crate) fn end(&mut self) -> i32 {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("own child") {
                break status;
            }
            assert!(Instant::now() < until, "does not end within {PATIENCE:?}; {}", self.said());
            thread::sleep(Duration::from_millis(5));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("no panic");
        }
        status.code().unwrap_or(-1)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone in most cases; nothing of ours may outlive the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until it is so; for what no process tells by an event.
pub(crate) fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "no {what} within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Milliseconds of an event on the clock that all processes share.
pub(crate) fn at_ms(event: &Value) -> f64 {
    event["at_ms"].as_f64().expect("every event has at_ms")
}
