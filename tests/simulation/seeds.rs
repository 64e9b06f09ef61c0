//! Random trouble, one seed after the other.

use std::{process::Command, time::Duration};

use crate::many::{report, run_seed, run_seeds, soak};

/// Names the seed that a process of [`print_the_trace_of_a_seed`] runs.
const SEED_VARIABLE: &str = "FARTHING_SIMULATION_SEED";
const DIGEST: &str = "digest: ";

#[test]
fn a_seed_gives_the_same_trace_again_and_another_one_another() {
    let [first, second, other] = [11, 11, 12].map(|seed| run_seed(seed, false));
    assert_eq!(first.digest, second.digest);
    assert_eq!(first.counts, second.counts);
    assert_ne!(first.digest, other.digest);
}

#[test]
fn a_seed_gives_the_same_trace_in_another_process() {
    let here = run_seed(13, false).digest;
    let (_, text) = in_another_process("print_the_trace_of_a_seed", 13);
    let there = text.lines().find_map(|line| line.split_once(DIGEST)).map(|(_, digest)| digest.to_owned());
    assert_eq!(there.as_deref(), Some(&*here), "{text}");
}

/// Runs an ignored test of this file alone in a process, and gives whether it passed and what it printed.
fn in_another_process(test: &str, seed: u64) -> (bool, String) {
    let this = std::env::current_exe().expect("a test knows where it is");
    let arguments = ["--exact", &format!("seeds::{test}"), "--ignored", "--nocapture"];
    let output = Command::new(this).args(arguments).env(SEED_VARIABLE, seed.to_string()).output();
    let output = output.expect("it can run itself");
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (output.status.success(), text)
}

fn seed_of_this_process() -> u64 {
    std::env::var(SEED_VARIABLE).expect("the seed").parse().expect("a number")
}

#[test]
#[ignore = "the other process of the test above"]
fn print_the_trace_of_a_seed() {
    println!("\n{DIGEST}{}", run_seed(seed_of_this_process(), false).digest);
}

/// Other seeds with `FARTHING_SIMULATION_FIRST`, another number of them with `FARTHING_SIMULATION_SEEDS`.
#[test]
fn whatever_goes_wrong_every_node_keeps_its_promises() {
    let number = |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
    let first = number("FARTHING_SIMULATION_FIRST", 1);
    let seeds = first..first + number("FARTHING_SIMULATION_SEEDS", 100);
    let summary = run_seeds(seeds, 2, |_| {});
    println!("{} runs, {:?} of simulated time in {:?}", summary.runs, summary.simulated, summary.took);
    println!("{}", summary.counts);
    let failed: Vec<String> = summary.failed.iter().map(report).collect();
    assert!(failed.is_empty(), "{} of {} runs failed\n{}", failed.len(), summary.runs, failed.join("\n\n"));
    // A simulation in which nothing goes wrong proves nothing.
    assert_eq!(summary.scarce(), [""; 0]);
}

/// In a process of its own, whose memory is that of one simulation.
#[test]
fn half_an_hour_of_trouble_leaves_nothing_behind_in_memory() {
    let (passed, text) = in_another_process("half_an_hour_of_trouble", 1);
    assert!(passed, "{text}");
}

#[test]
#[ignore = "the other process of the test above"]
fn half_an_hour_of_trouble() {
    let outcome = soak(seed_of_this_process(), Duration::from_secs(30 * 60), false);
    assert!(outcome.failures.is_empty(), "{}", report(&outcome));
}
