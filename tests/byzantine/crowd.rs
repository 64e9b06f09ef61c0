//! Many hostile nodes at once, which between them do everything, while blocks are mined.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{ALL, Behaviour, Outcome, host::Host, hostile::Hostile};
use crate::harness::{
    PATIENCE,
    cluster::Cluster,
    fabric::everybody,
    keys::{ALICE, BOB, CAROL},
    ledger::{assert_rebuilds, mine, try_mine},
    networks,
};

/// How often a block is mined while the attacks last.
const MINED_EVERY: Duration = Duration::from_millis(150);

/// One hostile node of several.
struct Attacker<'a> {
    cluster: &'a Cluster,
    /// Whom it attacks; the first of them also in the ways for which that one has to dial.
    victims: &'a [usize],
    /// Its number in the cluster's network.
    number: usize,
    host: Arc<Host>,
    /// Every port that it ever had.
    ports: BTreeSet<String>,
    /// Who must have banned it, under which port.
    banned_by: Vec<(usize, String)>,
    /// What it did stays open until the end.
    open: Vec<Hostile>,
}

impl<'a> Attacker<'a> {
    async fn new(cluster: &'a Cluster, victims: &'a [usize], number: usize) -> Self {
        let host = Host::start(cluster, number).await;
        Self { cluster, victims, number, host, ports: BTreeSet::new(), banned_by: Vec::new(), open: Vec::new() }
    }

    /// Comes back as if it were another one.
    async fn take_another_port(&mut self) {
        self.host = Host::start(self.cluster, self.number).await;
    }

    fn is_banned(&self, node: usize) -> bool {
        let name = format!("127.0.0.1:{}", self.host.port());
        self.cluster.node(node).network().bans().iter().any(|(whom, ..)| *whom == name)
    }

    /// Whom to attack next in this way, and an honest node beside it: none that banned this one already.
    fn choose(&self, turn: usize, behaviour: &Behaviour) -> Option<(usize, usize)> {
        let count = self.victims.len();
        let turn = if behaviour.has_to_be_dialled() { 0 } else { turn };
        let mut open = (0..count).map(|at| self.victims[(turn + at) % count]).filter(|node| !self.is_banned(*node));
        let victim = open.next()?;
        let beside = (0..self.cluster.len()).filter(|node| *node != victim && !self.is_banned(*node));
        let beside: Vec<usize> = beside.collect();
        Some((victim, *beside.get(turn % beside.len().max(1))?))
    }

    async fn run(mut self, behaviours: &[&Behaviour]) -> Self {
        for (turn, behaviour) in behaviours.iter().enumerate() {
            if behaviour.has_to_be_dialled() {
                self.take_another_port().await;
            }
            let (victim, honest) = match self.choose(turn, behaviour) {
                Some(chosen) if !behaviour.has_to_be_dialled() || chosen.0 == self.victims[0] => chosen,
                _ => {
                    self.take_another_port().await;
                    self.choose(turn, behaviour).expect("nobody has banned a new port")
                }
            };
            let hostile = Hostile::against(self.cluster, victim, honest, &self.host);
            self.ports.insert(hostile.culprit());
            // Other attackers keep the victim busy meanwhile.
            let acted = timeout(2 * PATIENCE, (behaviour.act)(&hostile)).await;
            acted.unwrap_or_else(|_| panic!("{}: it comes to no end", behaviour.name));
            if matches!(behaviour.outcome, Outcome::Banned(_)) {
                self.banned_by.push((victim, hostile.culprit()));
            }
            self.open.push(hostile);
            if behaviour.has_to_be_dialled() {
                // Others may dial it too, and think of it what the victim thinks.
                self.take_another_port().await;
            }
        }
        self
    }
}

/// Mines at one honest node after the other, for as long as it is asked.
async fn mine_on(cluster: &Cluster, miners: &[usize]) {
    let mut ticks = interval(MINED_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for turn in 0.. {
        ticks.tick().await;
        let chain = cluster.chain(miners[turn % miners.len()]);
        let nonce = chain.view().account(&ALICE.address()).expect("genesis funds alice").next_nonce;
        let transfer = ALICE.pay(&cluster.params, nonce, BOB.address(), 1);
        try_mine(chain, vec![transfer], CAROL.address()).await;
    }
}

/// Everything is done to the victims by so many hostile nodes while blocks are mined. Then all real nodes agree on the
/// chain with the most work, every offender is banned, and nobody else has so much as one point.
async fn attack(cluster: &Cluster, victims: &[usize], attackers: usize, miners: &[usize]) {
    let all: Vec<usize> = (0..cluster.len()).collect();
    let first = mine(cluster.chain(miners[0]), vec![ALICE.pay(&cluster.params, 0, BOB.address(), 1)], CAROL.address());
    cluster.agree_on(&all, first.await.id()).await;
    let attacks = (0..attackers).map(|at| async move {
        let attacker = Attacker::new(cluster, victims, cluster.len() + at).await;
        let dealt = |dialled: bool| {
            let kind = ALL.iter().filter(move |behaviour| behaviour.has_to_be_dialled() == dialled);
            kind.enumerate().filter(move |(number, _)| number % attackers == at).map(|(_, behaviour)| behaviour)
        };
        // First those for which a victim has to dial: later its address book is full of what it was told.
        let behaviours: Vec<&Behaviour> = dealt(true).chain(dealt(false)).collect();
        attacker.run(&behaviours).await
    });
    let attackers = tokio::select! {
        attackers = join_all(attacks) => attackers,
        () = mine_on(cluster, miners) => unreachable!("it mines until it is dropped"),
    };
    let most = all.iter().map(|at| cluster.tip(*at)).max_by_key(|tip| tip.total_work()).expect("there are nodes");
    cluster.settle(&all, &most).await;
    // And once more, with a block of their own. One that somebody made before may take its place, with equal work.
    loop {
        let mined = try_mine(cluster.chain(miners[0]), Vec::new(), CAROL.address()).await;
        let Some(mined) = mined else { continue };
        if cluster.settle(&all, &mined).await.id() == mined.id() {
            break;
        }
    }
    for (node, culprit) in attackers.iter().flat_map(|attacker| &attacker.banned_by) {
        let bans = cluster.node(*node).network().bans();
        assert!(bans.iter().any(|(whom, ..)| whom == culprit), "node {node} has not banned {culprit}: {bans:?}");
    }
    let hostile: BTreeSet<&String> = attackers.iter().flat_map(|attacker| &attacker.ports).collect();
    for at in all {
        let network = cluster.node(at).network();
        let (bans, scores) = (network.bans(), network.scores());
        let blamed = bans.iter().map(|(whom, ..)| whom).chain(scores.iter().map(|(whom, _)| whom));
        for whom in blamed {
            assert!(hostile.contains(whom), "node {at} blames an honest node {whom}: {bans:?}, {scores:?}");
        }
        assert_rebuilds(cluster.chain(at)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hostile_nodes_of_ten_do_everything_and_the_others_follow_the_most_work() {
    let cluster = Cluster::start(networks::quick(), 7, everybody).await;
    let honest: Vec<usize> = (0..7).collect();
    attack(&cluster, &honest, 3, &honest).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_seven_hostile_peers_follows_the_one_honest_node_that_it_dialled() {
    const HONEST: usize = 0;
    const VICTIM: usize = 1;
    // The victim is the one that dials.
    let cluster = Cluster::start(networks::quick(), 2, everybody).await;
    attack(&cluster, &[VICTIM], 7, &[HONEST]).await;
    cluster.stop().await;
}
