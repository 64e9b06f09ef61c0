//! One simulation: steps through simulated time, makes the plan happen, and judges how it ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use farthing::{
    Mites, Network, Params, TimeMs,
    params::{Allocation, ParamsFields},
};
use farthing_node::env::disk::{Fault, FaultError, FaultOp, Survivors};
use turmoil::Sim;

use crate::{
    check,
    env::Machine,
    hosts::{Hosts, liar_address, software},
    keys, liar,
    memory::Memory,
    plan::{Event, Latency, Plan},
    trace::{Counts, Trace},
    wallet,
};

/// Simulated time between two looks at the network: messages that arrive within it arrive together.
const TICK: Duration = Duration::from_millis(5);
/// Once everything is right again, how long the nodes may take to be of one mind.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);
/// As well where blocks come faster than they travel: a branch may be hundreds of blocks long, and a node that was dialled
/// gets them one a round trip once it has found out, in half a minute, that a connection is dead.
const SETTLES_QUICK_WITHIN: Duration = Duration::from_secs(120);
/// How often it is looked whether they are.
const LOOK_EVERY: u64 = 50;
/// Segments on their way on one connection, and connections that wait to be accepted.
const TCP_CAPACITY: usize = 512;
/// Lines of the trace that a failure shows.
const KEPT_LINES: usize = 60;

/// How a simulation ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    /// The same for the same seed.
    pub(crate) digest: String,
    pub(crate) counts: Counts,
    /// Properties that did not hold.
    pub(crate) failures: Vec<String>,
    /// The end of the trace.
    pub(crate) last_lines: Vec<String>,
    pub(crate) simulated: Duration,
}

/// A network like dev, in which a miner finds a block in the mean every `spacing`.
pub(crate) fn params(spacing: Duration) -> Arc<Params> {
    let amount = Mites::from_far(1_000_000).expect("a million far can be written");
    let mut allocations: Vec<_> = keys::all().map(|key| Allocation { address: key.address(), amount }).collect();
    allocations.sort_by_key(|allocation| allocation.address);
    let fields = ParamsFields {
        name: "simulated".to_owned(),
        prefix: "sfar".parse().expect("four letters"),
        genesis_time: TimeMs::new(1_700_000_000_000),
        target_spacing_ms: u64::try_from(spacing.as_millis()).expect("a short time"),
        allocations,
        ..ParamsFields::clone(Network::Dev.params())
    };
    Arc::new(Params::new(fields).expect("all within the ranges"))
}

/// Runs a plan to its end, or to the first property that does not hold. Gives what was seen of the nodes as well.
pub(crate) fn run(plan: &Plan, print: bool) -> (Outcome, Rc<Hosts>) {
    run_watching(plan, print, None)
}

/// As [`run`], with an eye on the memory of this process.
pub(crate) fn run_watching(plan: &Plan, print: bool, mut memory: Option<Memory>) -> (Outcome, Rc<Hosts>) {
    let trace = Trace::new(KEPT_LINES, print);
    let hosts = Rc::new(Hosts::new(plan, params(plan.spacing), trace));
    let mut world = Simulated::new(plan, &hosts);
    while !world.is_over(plan) {
        world.make_happen(plan);
        world.step();
        if let Some(memory) = &mut memory {
            memory.look(&hosts);
        }
    }
    world.finish(plan);
    let trace = hosts.trace.borrow();
    let outcome = Outcome {
        seed: plan.seed,
        digest: trace.digest(),
        counts: trace.counts(),
        failures: hosts.failures(),
        last_lines: trace.lines().map(str::to_owned).collect(),
        simulated: hosts.time.now(),
    };
    drop(trace);
    (outcome, hosts)
}

/// The machines and the network between them.
struct Simulated {
    sim: Sim<'static>,
    hosts: Rc<Hosts>,
    /// Events that have happened.
    happened: usize,
    /// Drives that fail once so many changes were tried.
    failing: Vec<(usize, u64, Survivors)>,
    /// Killed in this step.
    dying: Vec<usize>,
    /// Started while their disk was full: they may have given up.
    refused: BTreeSet<usize>,
    /// To be started as soon as they have stopped.
    to_start: Vec<usize>,
    steps: u64,
    /// Who does not reach whom, by the cut that does it.
    cuts: BTreeMap<Cut, (Vec<usize>, Vec<usize>)>,
    /// Whether one does not reach another.
    blocked: Vec<Vec<bool>>,
    healed: bool,
    settled: bool,
}

/// Names a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    Planned(usize),
    /// A machine without power, from it and to it.
    Power(usize, bool),
}

impl Simulated {
    fn new(plan: &Plan, hosts: &Rc<Hosts>) -> Self {
        let mut sim = turmoil::Builder::new()
            .rng_seed(plan.seed)
            .tick_duration(TICK)
            .simulation_duration(Duration::MAX)
            .tcp_capacity(TCP_CAPACITY)
            .min_message_latency(plan.latency.least)
            .max_message_latency(plan.latency.most)
            .enable_random_order()
            .build();
        for at in 0..hosts.len() {
            let hosts = Rc::clone(hosts);
            sim.host(hosts.address(at), move || software(Rc::clone(&hosts), at));
        }
        sim.client(wallet_address(), wallet::run(Rc::clone(hosts), plan.orders.clone()));
        for liar in 0..plan.liars {
            sim.client(liar_address(liar), liar::run(Rc::clone(hosts), liar));
        }
        let everybody = hosts.len() + 1 + plan.liars;
        Self {
            sim,
            hosts: Rc::clone(hosts),
            happened: 0,
            failing: Vec::new(),
            dying: Vec::new(),
            refused: BTreeSet::new(),
            to_start: Vec::new(),
            steps: 0,
            cuts: BTreeMap::new(),
            blocked: vec![vec![false; everybody]; everybody],
            healed: false,
            settled: false,
        }
    }

    fn step(&mut self) {
        if let Err(error) = self.sim.step() {
            self.hosts.fail(format!("the simulation fails: {error}"));
        }
        self.steps += 1;
        self.hosts.time.set(self.sim.elapsed());
        for node in std::mem::take(&mut self.dying) {
            self.sim.crash(self.hosts.address(node));
        }
        let failed = |(node, at, _): &(usize, u64, _)| self.hosts.host(*node).disk.changes() >= *at;
        let (failed, failing): (Vec<_>, _) = std::mem::take(&mut self.failing).into_iter().partition(failed);
        self.failing = failing;
        for (node, _, survivors) in failed {
            self.hosts.trace.borrow_mut().count("drives failed while writing");
            self.cut_power(node, survivors);
        }
        let to_start = std::mem::take(&mut self.to_start);
        let (down, stopping): (Vec<_>, _) = to_start.into_iter().partition(|node| self.is_down(*node));
        self.to_start = stopping;
        for node in down {
            self.start(node);
        }
    }

    /// True once the nodes have settled, or should have, or something failed.
    fn is_over(&mut self, plan: &Plan) -> bool {
        if !self.hosts.failures().is_empty() || self.settled {
            return true;
        }
        if !self.healed || !self.steps.is_multiple_of(LOOK_EVERY) {
            return false;
        }
        match check::settled(&self.hosts, plan.least_height) {
            Ok(()) => {
                let took = self.hosts.time.now().saturating_sub(plan.heals_at);
                self.hosts.note_world(format_args!("settled"));
                self.hosts.trace.borrow_mut().most("milliseconds to settle", took.as_millis() as u64);
                self.settled = true;
                true
            }
            Err(why) => {
                let within = if check::is_quick(&self.hosts.params) { SETTLES_QUICK_WITHIN } else { SETTLES_WITHIN };
                if self.hosts.time.now() > plan.heals_at + within {
                    self.hosts.fail(format!("not settled {within:?} after everything was right: {why}"));
                }
                false
            }
        }
    }

    /// Makes what is due happen.
    fn make_happen(&mut self, plan: &Plan) {
        let now = self.hosts.time.now();
        while let Some((at, event)) = plan.events.get(self.happened).filter(|(at, _)| *at <= now) {
            debug_assert!(*at <= now);
            self.happened += 1;
            self.happen(event);
        }
        if !self.healed && now >= plan.heals_at {
            self.heal(plan);
        }
    }

    fn happen(&mut self, event: &Event) {
        let hosts = Rc::clone(&self.hosts);
        match event {
            Event::Kill(node) if self.is_up(*node) => {
                hosts.note(*node, format_args!("killed"));
                hosts.trace.borrow_mut().count("kills");
                self.failing.retain(|(failing, ..)| failing != node);
                hosts.host(*node).disk.kill();
                hosts.die(*node);
                self.dying.push(*node);
            }
            Event::PowerCut(node, survivors) if self.is_up(*node) => {
                hosts.trace.borrow_mut().count("power cuts");
                self.cut_power(*node, *survivors);
            }
            Event::TornWrite { node, nth, survivors } if self.is_up(*node) => {
                let disk = &hosts.host(*node).disk;
                hosts.note(*node, format_args!("its drive will fail at change {nth}"));
                hosts.set_drive_fails(*node, true);
                self.failing.push((*node, disk.changes() + nth, *survivors));
                disk.inject(Fault { op: FaultOp::AnyChange, nth: *nth, error: FaultError::Io, lasting: true });
            }
            Event::DiskFull { node, spare } => {
                let disk = &hosts.host(*node).disk;
                hosts.note(*node, format_args!("its disk is full but for {spare} bytes"));
                hosts.trace.borrow_mut().count("full disks");
                disk.set_capacity(disk.used() + spare);
                hosts.host(*node).is_full.set(true);
            }
            Event::DiskFreed(node) => {
                hosts.note(*node, format_args!("its disk has room again"));
                self.make_room(*node);
            }
            Event::Stop(node) => {
                if let Some(handles) = hosts.handles(*node) {
                    hosts.note(*node, format_args!("is asked to stop"));
                    hosts.trace.borrow_mut().count("stops");
                    handles.tasks.stop();
                }
            }
            Event::Start(node) => {
                // A drive that had nothing to write did not fail.
                self.spare_drive(*node);
                let stands = hosts.handles(*node).is_some_and(|handles| !handles.tasks.token().is_cancelled());
                if !stands && !self.to_start.contains(node) {
                    self.to_start.push(*node);
                }
            }
            Event::Kill(_) | Event::PowerCut(..) | Event::TornWrite { .. } => {}
            Event::Cut { cut, from, to } => {
                hosts.note_world(format_args!("cut {cut}: {from:?} do not reach {to:?}"));
                hosts.trace.borrow_mut().count("cuts, one way each");
                self.cuts.insert(Cut::Planned(*cut), (from.clone(), to.clone()));
                self.rewire();
            }
            Event::Mend { cut } => {
                if self.cuts.remove(&Cut::Planned(*cut)).is_some() {
                    hosts.note_world(format_args!("cut {cut} is mended"));
                    self.rewire();
                }
            }
            Event::Latency { a, b, latency } => {
                hosts.note_world(format_args!("between {a} and {b}: {:?} to {:?}", latency.least, latency.most));
                hosts.trace.borrow_mut().count("changes of latency");
                self.set_latency(*a, *b, *latency);
            }
            Event::Mine { node, blocks, pause } => {
                hosts.note(*node, format_args!("is asked for {blocks} blocks, {pause:?} apart"));
                if let Some(handles) = hosts.handles(*node) {
                    handles.mine.send((*blocks, *pause)).expect("who runs takes requests");
                }
            }
            Event::Clock { node, skew_ms } => {
                hosts.note(*node, format_args!("its clock is {skew_ms} ms ahead"));
                hosts.trace.borrow_mut().count("jumps of a clock");
                hosts.host(*node).clock.set_skew(*skew_ms);
            }
        }
    }

    /// Puts everything right.
    fn heal(&mut self, plan: &Plan) {
        self.healed = true;
        self.hosts.note_world(format_args!("everything is put right"));
        self.cuts.clear();
        self.rewire();
        for a in 0..self.hosts.len() {
            self.hosts.host(a).clock.set_skew(0);
            self.make_room(a);
            self.spare_drive(a);
            for b in 0..a {
                self.set_latency(a, b, plan.latency);
            }
            if self.is_down(a) && !self.to_start.contains(&a) {
                self.to_start.push(a);
            }
        }
    }

    fn is_up(&self, node: usize) -> bool {
        self.hosts.handles(node).is_some()
    }

    fn is_down(&self, node: usize) -> bool {
        !self.is_up(node)
    }

    fn cut_power(&mut self, node: usize, survivors: Survivors) {
        self.hosts.note_world(format_args!("node {node} loses power, {survivors:?} survive"));
        let everybody: Vec<usize> = (0..self.blocked.len()).filter(|other| *other != node).collect();
        self.cuts.insert(Cut::Power(node, true), (vec![node], everybody.clone()));
        self.cuts.insert(Cut::Power(node, false), (everybody, vec![node]));
        self.rewire();
        self.failing.retain(|(failing, ..)| *failing != node);
        self.hosts.host(node).disk.crash(survivors, self.steps);
        self.crash(node);
        self.hosts.machines.set(self.hosts.address(node), Machine::IsOff);
    }

    fn make_room(&mut self, node: usize) {
        self.hosts.host(node).disk.set_capacity(u64::MAX);
        self.hosts.host(node).is_full.set(false);
        // Whoever was started without room has given up.
        if self.refused.remove(&node) && self.is_down(node) && !self.to_start.contains(&node) {
            self.to_start.push(node);
        }
    }

    fn spare_drive(&mut self, node: usize) {
        self.failing.retain(|(failing, ..)| *failing != node);
        self.hosts.host(node).disk.clear_faults();
        self.hosts.set_drive_fails(node, false);
    }

    fn crash(&mut self, node: usize) {
        // Handles first: with them goes the last that the test holds of the process.
        self.hosts.went_down(node);
        self.sim.crash(self.hosts.address(node));
    }

    fn start(&mut self, node: usize) {
        self.hosts.note_world(format_args!("node {node} is started"));
        if self.hosts.host(node).is_full.get() {
            self.refused.insert(node);
        }
        self.hosts.trace.borrow_mut().count("restarts");
        self.hosts.set_drive_fails(node, false);
        self.hosts.machines.set(self.hosts.address(node), Machine::Refuses);
        self.cuts.remove(&Cut::Power(node, true));
        self.cuts.remove(&Cut::Power(node, false));
        self.rewire();
        self.sim.bounce(self.hosts.address(node));
    }

    fn set_latency(&mut self, a: usize, b: usize, latency: Latency) {
        let (a, b) = (self.ip(a), self.ip(b));
        self.sim.set_link_latency(a, b, latency.least);
        self.sim.set_link_max_message_latency(a, b, latency.most);
    }

    /// Makes the network as the cuts say.
    fn rewire(&mut self) {
        for from in 0..self.blocked.len() {
            for to in (0..self.blocked.len()).filter(|to| *to != from) {
                let blocked = self.cuts.values().any(|(a, b)| a.contains(&from) && b.contains(&to));
                if std::mem::replace(&mut self.blocked[from][to], blocked) == blocked {
                    continue;
                }
                let (from, to) = (self.ip(from), self.ip(to));
                if blocked {
                    self.sim.partition_oneway(from, to);
                } else {
                    self.sim.repair_oneway(from, to);
                }
            }
        }
    }

    /// The address of a node, of the wallet behind the last of them, or of a liar behind that.
    fn ip(&self, at: usize) -> IpAddr {
        match at.checked_sub(self.hosts.len()) {
            None => self.hosts.address(at),
            Some(0) => wallet_address(),
            Some(liar) => liar_address(liar - 1),
        }
    }

    /// The last properties, if nothing failed before.
    fn finish(&self, plan: &Plan) {
        if self.hosts.failures().is_empty()
            && let Err(why) = check::at_the_end(&self.hosts, plan.liars)
        {
            self.hosts.fail(why);
        }
    }
}

fn wallet_address() -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 200, 0, 1))
}
