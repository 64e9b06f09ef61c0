//! `WatchAccount`: an account's state, and each block that touches it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use farthing::{
    Account, Address, BlockId,
    wire::{AddressLookup, ChainPoint, v1, v1::watch_account_response::Event},
};
use farthing_consensus::HeaderContext;
use futures_util::stream::BoxStream;
use tokio::time::sleep;
use tonic::{Request, Status};

use super::{
    follow::{Follower, Move, Position},
    onlooker::{Onlooker, SeenChain},
    run::{Next, Source, Terms, Told, run},
    walk::Walk,
};
use crate::{
    chain::{AccountEntry, Before, Chain, ChainError, Sighting, Touch},
    env::Compute,
    rpc::{ApiError, Deps, Reason, accounts, blocks},
    server::CallMeter,
};

/// Views of more entries are made off the async threads.
const MANY_ENTRIES: usize = 50;

/// How long the published view may lag behind the store.
const VIEW_LAGS: Duration = Duration::from_millis(10);

/// Starts a stream.
pub(in crate::rpc) async fn watch(
    deps: &Deps,
    request: Request<v1::WatchAccountRequest>,
) -> Result<BoxStream<'static, Result<v1::WatchAccountResponse, Status>>, ApiError> {
    let terms = Terms::of(deps, &request);
    let meter = request.extensions().get::<CallMeter>().cloned();
    let request = request.into_inner();
    let address = AddressLookup::try_from(&request)?.resolve(&deps.chain.params().prefix)?;
    let on = SeenChain { chain: deps.chain.clone(), by: address };
    let (walk, first) = if request.cursor.is_empty() {
        let view = deps.chain.view();
        let position = Position::Behind { height: view.tip.height(), id: view.tip.id() };
        let first = State { at: blocks::tip(&view), account: view.account(&address) };
        (Walk::new(on, &deps.chain, Follower::at(position)), Some(first))
    } else {
        (Walk::resume(on, &deps.chain, request.cursor).await?, None)
    };
    let (told, compute) = (walk.position(), deps.env.compute().clone());
    let walk = walk.paid_by(meter);
    Ok(run(Watched { walk, compute, first, undone: None, told }, terms))
}

impl Onlooker for Address {
    type Sees = Option<Touch>;

    async fn look(&self, chain: &Chain, id: BlockId) -> Result<Option<Sighting<Option<Touch>>>, ChainError> {
        chain.account_in(*self, id).await
    }
}

/// The account as of a block.
#[derive(Debug, Clone, Copy)]
pub(in crate::rpc) struct State {
    at: ChainPoint,
    account: Option<Account>,
}

impl State {
    const fn new(context: &HeaderContext, account: Option<Account>) -> Self {
        Self { at: blocks::point(context), account }
    }
}

impl From<&State> for v1::AccountState {
    fn from(state: &State) -> Self {
        let account = state.account.unwrap_or_default();
        Self { block: Some((&state.at).into()), exists: state.account.is_some(), account: Some((&account).into()) }
    }
}

/// What happened to the account.
#[derive(Debug)]
pub(in crate::rpc) enum Change {
    Is(State),
    Apply(State, Vec<AccountEntry>),
    /// Blocks from this one down left the best chain.
    Undo(ChainPoint, State),
}

/// What makes the frames of one subscription.
#[derive(Debug)]
struct Watched {
    walk: Walk<SeenChain<Address>>,
    compute: Compute,
    /// What is told before all else.
    first: Option<State>,
    /// A block that left the best chain, and what it did is not told yet.
    undone: Option<BlockId>,
    /// Up to where everything was told.
    told: Position,
}

impl Watched {
    /// What it means for the account that a block has left; none if nothing. Cancel safe.
    async fn undo(&mut self, id: BlockId) -> Result<Option<Change>, ApiError> {
        let chain = self.walk.chain().clone();
        let address = self.walk.on.by;
        let (context, before) = chain.account_before(address, id).await?;
        let block = blocks::point(&context);
        match before {
            Before::Untouched => Ok(None),
            Before::Was(account) => {
                let lost = || ApiError::new(Reason::Internal, format!("the parent of block {id} is not in the store"));
                let parent = chain.header(context.header().previous).await?.ok_or_else(lost)?;
                Ok(Some(Change::Undo(block, State::new(&parent, account))))
            }
            // A branch that this node never followed: only where it meets the best chain the account is known.
            Before::Unknown => loop {
                while self.walk.follower.retreat(&self.walk.on).await? {}
                let Position::Behind { id: fork, .. } = self.walk.position() else { return Ok(None) };
                if let Some((context, account)) = chain.account_after(address, fork).await? {
                    return Ok(Some(Change::Undo(block, State::new(&context, account))));
                }
                // The view that it would be counted back from is not that of the store yet, or no longer.
                sleep(VIEW_LAGS).await;
            },
        }
    }
}

impl Source for Watched {
    type Event = Change;
    type Frame = v1::WatchAccountResponse;

    async fn next(&mut self) -> Result<Next<Change>, ApiError> {
        if let Some(state) = self.first.take() {
            return Ok(Next::Tell(Change::Is(state)));
        }
        loop {
            if let Some(id) = self.undone {
                let change = self.undo(id).await?;
                (self.undone, self.told) = (None, self.walk.position());
                if let Some(change) = change {
                    return Ok(Next::Tell(change));
                }
            }
            match self.walk.step().await? {
                Move::Apply(Sighting { context, seen }) => {
                    self.told = self.walk.position();
                    if let Some(Touch { entries, after }) = seen {
                        return Ok(Next::Tell(Change::Apply(State::new(&context, Some(after)), entries)));
                    }
                }
                Move::Undo { id, .. } => self.undone = Some(id),
                Move::Done => return Ok(Next::End),
                Move::Wait if !self.walk.changed().await => return Ok(Next::Stopping),
                Move::Wait => {}
            }
        }
    }

    async fn frame(&mut self, told: Told<Change>) -> Result<v1::WatchAccountResponse, ApiError> {
        let tip = self.walk.tip();
        let event = match told {
            Told::Event(Change::Is(state)) => Event::State((&state).into()),
            Told::Event(Change::Apply(state, entries)) => {
                let params = Arc::clone(self.walk.chain().params());
                let many = entries.len() > MANY_ENTRIES;
                let make = move || entries.iter().map(|entry| accounts::entry_view(&params, entry)).collect();
                let entries = if many { self.compute.run(make).await } else { make() };
                Event::Apply(v1::AccountApply { state: Some((&state).into()), entries })
            }
            Told::Event(Change::Undo(block, state)) => {
                Event::Undo(v1::AccountUndo { block: Some((&block).into()), state: Some((&state).into()) })
            }
            Told::Progress => Event::Progress(v1::Progress {}),
            Told::Draining => Event::Draining(v1::Draining {}),
        };
        Ok(v1::WatchAccountResponse { cursor: self.cursor(), tip: Some((&tip).into()), event: Some(event) })
    }

    fn cursor(&self) -> Bytes {
        self.told.to_cursor().into()
    }
}
