//! `status`: the wallet, and the nodes that it asks.

use std::{fmt, path::PathBuf, sync::Arc};

use farthing::{
    Params,
    chain_proof::{SAMPLES_PER_HALVING, TAIL_HEADERS},
};
use farthing_client::NodeInfo;
use serde::Serialize;

use crate::{
    client::{NodeClient, Remarks},
    config::NodeUrl,
    context::Context,
    error::Result,
    keystore::Holder,
    light::{self, Standing, cache::Cache},
};

#[derive(Serialize)]
struct PeerView {
    address: String,
    inbound: bool,
    height: u64,
    version: String,
}

#[derive(Serialize)]
struct WalletView {
    network: String,
    genesis_id: String,
    folder: PathBuf,
    settings: PathBuf,
    keys: Vec<String>,
    keys_not_encrypted: usize,
    contacts: usize,
    /// Transfers that are not yet settled for good.
    open_transfers: usize,
}

#[derive(Serialize)]
struct NodeView {
    url: String,
    version: String,
    tip_height: u64,
    tip_id: String,
    tip_time_ms: u64,
    sync: &'static str,
    mining: bool,
    peers: Vec<PeerView>,
    mempool_transactions: u64,
    accounts: u64,
    supply: String,
    supply_mites: String,
    chain: ChainView,
}

/// The chain that a node stands on: what of it was verified.
#[derive(Serialize)]
struct ChainView {
    verified: bool,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<String>,
    /// Expected number of attempts that it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<String>,
    /// The same in words.
    #[serde(skip)]
    effort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
    samples_per_halving: u32,
    last_headers: u64,
    /// How likely a chain passes of which at most half was worked for.
    half_forged_passes: String,
}

impl ChainView {
    fn new(chain: Result<Standing>) -> Self {
        let empty = Self {
            verified: false,
            code: None,
            what: None,
            work: None,
            effort: None,
            height: None,
            samples_per_halving: SAMPLES_PER_HALVING,
            last_headers: TAIL_HEADERS,
            half_forged_passes: format!("2^-{}", light::ERROR_BITS),
        };
        match chain {
            Ok(standing) => Self {
                verified: true,
                work: Some(standing.work.get().to_string()),
                effort: Some(light::effort(standing.work)),
                height: Some(standing.height.get()),
                ..empty
            },
            Err(error) => {
                let report = error.report();
                Self { code: Some(report.code), what: Some(report.what), ..empty }
            }
        }
    }
}

impl fmt::Display for ChainView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.work, self.height) {
            (Some(work), Some(height)) => {
                let effort = self.effort.as_deref().unwrap_or_default();
                writeln!(f, "chain     work {work} up to block {height}, {effort}; verified by {}", light::promise())
            }
            _ => {
                let (code, what) = (self.code.unwrap_or_default(), self.what.as_deref().unwrap_or_default());
                writeln!(f, "chain     not verified: {what} [{code}]")
            }
        }
    }
}

/// A node that did not answer, or not as one of this network.
#[derive(Serialize)]
struct AwayView {
    url: String,
    code: &'static str,
    what: String,
}

#[derive(Serialize)]
struct StatusView {
    wallet: WalletView,
    nodes: Vec<NodeView>,
    away: Vec<AwayView>,
}

impl fmt::Display for WalletView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "network   {} (genesis {})", self.network, self.genesis_id)?;
        writeln!(f, "wallet    {}", self.folder.display())?;
        let names = if self.keys.is_empty() { "none yet".to_owned() } else { self.keys.join(", ") };
        let open = if self.keys_not_encrypted == 0 { "" } else { "  not all encrypted" };
        writeln!(f, "keys      {names}{open}")?;
        writeln!(f, "contacts  {}", self.contacts)?;
        match self.open_transfers {
            0 => writeln!(f, "outbox    empty"),
            count => writeln!(
                f,
                "outbox    {count} kept until six blocks deep; farthing-wallet resubmit says where each stands"
            ),
        }
    }
}

impl fmt::Display for NodeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mining = if self.mining { ", mining" } else { "" };
        writeln!(f, "node      {} ({}{mining})", self.url, self.version)?;
        writeln!(f, "tip       {} {} ({})", self.tip_height, self.tip_id, self.sync)?;
        write!(f, "{}", self.chain)?;
        writeln!(f, "peers     {}", self.peers.len())?;
        for peer in &self.peers {
            let way = if peer.inbound { "from" } else { "to" };
            writeln!(f, "          {way} {} at height {} ({})", peer.address, peer.height, peer.version)?;
        }
        writeln!(f, "mempool   {} transactions", self.mempool_transactions)?;
        writeln!(f, "accounts  {}, {} far in existence", self.accounts, self.supply)
    }
}

impl fmt::Display for StatusView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.wallet)?;
        self.nodes.iter().try_for_each(|node| write!(f, "{node}"))?;
        self.away.iter().try_for_each(|away| writeln!(f, "node      {} is away: {}", away.url, away.what))
    }
}

/// Shows the wallet, and what each node says of itself; of that are verified the network and the work of the chain.
///
/// # Errors
/// A wallet that cannot be read. If no node answers, what the first one did, once the rest was shown.
pub fn run(context: &mut Context) -> Result<()> {
    let wallet = wallet_view(context)?;
    let (mut nodes, mut away, mut first_error) = (Vec::new(), Vec::new(), None);
    for url in context.settings.nodes().to_vec() {
        let cache = Cache::within(context.wallet.home());
        let asked = connect(&url, context.settings.network(), Some(cache)).and_then(|client| {
            let client = client.with_minimum_work(context.settings.minimum_work());
            let info = client.node_info()?;
            Ok(NodeView::new(&url, info, client.chain()))
        });
        match asked {
            Ok(node) => nodes.push(node),
            Err(error) => {
                let report = error.report();
                away.push(AwayView { url: url.to_string(), code: report.code, what: report.what });
                first_error.get_or_insert(error);
            }
        }
    }
    let view = StatusView { wallet, nodes, away };
    context.output.data(&view)?;
    match first_error {
        Some(error) if view.nodes.is_empty() => Err(error),
        _ => Ok(()),
    }
}

fn wallet_view(context: &Context) -> Result<WalletView> {
    let wallet = &context.wallet;
    let keys = wallet.keys().list()?;
    Ok(WalletView {
        network: wallet.network().name.clone(),
        genesis_id: wallet.network().genesis_id().to_string(),
        folder: wallet.home().to_owned(),
        settings: context.settings.config().to_owned(),
        keys_not_encrypted: keys.iter().filter(|key| !key.encrypted && key.holder == Holder::File).count(),
        keys: keys.into_iter().map(|key| String::from(key.name)).collect(),
        contacts: wallet.contacts()?.iter().count(),
        open_transfers: wallet.outbox().list()?.len(),
    })
}

/// What one node says of itself, whatever the others do.
///
/// # Errors
/// A node that does not answer, or is of another network.
pub(super) fn ask(url: &NodeUrl, network: &Arc<Params>) -> Result<NodeInfo> {
    Ok(connect(url, network, None)?.node_info()?)
}

fn connect(url: &NodeUrl, network: &Arc<Params>, cache: Option<Cache>) -> Result<NodeClient> {
    NodeClient::connect(std::slice::from_ref(url), network, cache, Remarks::default())
}

impl NodeView {
    fn new(url: &NodeUrl, info: NodeInfo, chain: Result<Standing>) -> Self {
        let sync = match info.is_synced {
            Some(true) => "synced",
            Some(false) => "syncing",
            None => "unknown",
        };
        let peer = |peer: farthing_client::Peer| PeerView {
            address: peer.address,
            inbound: peer.is_inbound,
            height: peer.height.get(),
            version: peer.version,
        };
        Self {
            url: url.to_string(),
            version: info.version,
            tip_height: info.tip.height.get(),
            tip_id: info.tip.block_id.to_string(),
            tip_time_ms: info.tip.time.get(),
            sync,
            mining: info.is_mining,
            peers: info.peers.into_iter().map(peer).collect(),
            mempool_transactions: info.mempool_transactions,
            accounts: info.accounts,
            supply: info.supply.to_string(),
            supply_mites: info.supply.get().to_string(),
            chain: ChainView::new(chain),
        }
    }
}
