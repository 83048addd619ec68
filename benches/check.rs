//! How long an access check takes, over the daemon's socket with connections that stay open.
//!
//! `cargo bench --bench check` starts a daemon with a firm of 300 people and 5,000 clients, asks for ten seconds at a steady
//! 5,000 a second, and prints p50, p99, the rate, and the processor time of the daemon. A question's time counts from the
//! moment it was due, so that a pause of the daemon is not hidden by a generator that waits for it. To see it on one core:
//! `taskset -c 0 cargo bench --bench check` (generator and daemon then share it).
//!
//! The same questions go first to a server that does nothing but write a line back: on a machine that is shared, its p99 is
//! what the machine itself takes, and the daemon's is to be read beside it.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring program, not the product"
)]

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/api/firm.rs"]
mod firm;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    time::{Duration, Instant},
};

const PEOPLE: u128 = 300;
const CLIENTS: u128 = 5_000;
const CONNECTIONS: u32 = 4;
const RATE: u32 = 5_000;
const SECONDS: u32 = 10;

/// One connection's questions, each at its time: how long each took, in microseconds.
fn ask(socket: &Path, number: u32, begun: Instant) -> (Vec<u64>, [usize; 3]) {
    let stream = UnixStream::connect(socket).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let each = Duration::from_secs(1) * CONNECTIONS / RATE;
    let mut times = Vec::new();
    let mut answers = [0; 3];
    let mut random = u128::from(number) + 1;
    for n in 0..RATE * SECONDS / CONNECTIONS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
            & u128::from(u64::MAX);
        let (person, client) = ((random >> 20) % (PEOPLE - 5) + 5, (random >> 33) % CLIENTS);
        let due = begun + each * n + each * number / CONNECTIONS;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        // In one call, as any client does: a daemon that is woken for every piece of a question would be measured else.
        let path = format!("/api/v1/access/check?person=p{person}%40harbour.example&client=client-{client}");
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let body = answer(&mut reader);
        times.push(u64::try_from(due.elapsed().as_micros()).unwrap());
        let words = ["\"answer\":\"yes\"", "\"answer\":\"no\"", "\"answer\":\"held\""];
        let which = words.iter().position(|w| body.contains(w)).unwrap_or_else(|| panic!("no answer: {body}"));
        answers[which] += 1;
    }
    (times, answers)
}

fn answer(reader: &mut BufReader<UnixStream>) -> String {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(n) = line.strip_prefix("content-length: ") {
            length = n.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

/// User and system time of a process, in ticks of 10 ms.
fn ticks(id: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let after = text.rsplit(") ").next().unwrap();
    let fields: Vec<&str> = after.split(' ').collect();
    [11, 12].iter().map(|n| fields.get(*n).unwrap().parse::<u64>().unwrap()).sum()
}

/// All questions over all connections.
struct Asked {
    times: Vec<u64>,
    answers: [usize; 3],
    took: Duration,
}

impl Asked {
    fn of(socket: &Path) -> Self {
        let begun = Instant::now();
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|n| {
                let socket = socket.to_path_buf();
                std::thread::spawn(move || ask(&socket, n, begun))
            })
            .collect();
        let (mut times, mut answers) = (Vec::new(), [0; 3]);
        for thread in threads {
            let (more, of) = thread.join().unwrap();
            times.extend(more);
            answers.iter_mut().zip(of).for_each(|(a, b)| *a += b);
        }
        times.sort_unstable();
        Self { times, answers, took: begun.elapsed() }
    }

    fn at(&self, part: f64) -> f64 {
        let place = (self.times.len() as f64 * part) as usize;
        self.times.get(place).copied().unwrap_or_default() as f64 / 1000.0
    }

    fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    fn words(&self) -> String {
        let [p50, p99, worst] = [0.5, 0.99, 1.0 - 1e-9].map(|part| self.at(part));
        format!("p50 {p50:.3} ms, p99 {p99:.3} ms, worst {worst:.3} ms at {:.0} a second", self.rate())
    }
}

/// Writes an answer of the usual length for every question, a thread for each connection.
fn serve_nothing(listener: UnixListener) {
    let body = format!("{{\"answer\":\"yes\",\"rest\":\"{}\"}}", "x".repeat(300));
    let line = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for stream in listener.incoming().map_while(Result::ok) {
        let line = line.clone();
        std::thread::spawn(move || {
            let (mut stream, mut question) = (stream, [0; 1024]);
            while stream.read(&mut question).is_ok_and(|n| n > 0) && stream.write_all(line.as_bytes()).is_ok() {}
        });
    }
}

fn main() {
    let daemon = firm::Daemon::start(firm::firm(PEOPLE, CLIENTS));
    // The first cycle makes a folder for every client, and a report of the day follows; what is measured is a daemon at rest.
    while !daemon.log().contains("kind=\"daily\" exit") {
        std::thread::sleep(Duration::from_millis(100));
    }
    let nothing = daemon.dir.path().join("nothing.sock");
    let listener = UnixListener::bind(&nothing).unwrap();
    std::thread::spawn(move || serve_nothing(listener));
    let floor = Asked::of(&nothing);
    println!("a server that does nothing: {}", floor.words());
    // The first question takes the picture.
    let first = Instant::now();
    let got = daemon.send("", "GET", "/api/v1/access/check?person=p9&client=client-9", None);
    assert_eq!(got.status, 200, "{got:?}");
    println!("{PEOPLE} people, {CLIENTS} clients; the first answer took {} ms", first.elapsed().as_millis());
    let before = ticks(daemon.id());
    let asked = Asked::of(&daemon.socket());
    let busy = (ticks(daemon.id()) - before) as f64 / asked.took.as_secs_f64();
    println!("ledgerward: {}", asked.words());
    println!(
        "{} answers (yes, no, held: {:?}); the daemon used {busy:.0} % of a core, {:.0} µs for an answer",
        asked.times.len(),
        asked.answers,
        busy * 10_000.0 / asked.rate()
    );
    println!(
        "aim: p99 under 1 ms at 5,000 a second: {}; p99 beside the server that does nothing: {:.1}",
        if asked.at(0.99) < 1.0 && asked.rate() > 4_900.0 { "met" } else { "NOT met" },
        asked.at(0.99) / floor.at(0.99)
    );
}
