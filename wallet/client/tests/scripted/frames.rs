//! Frames of scripted streams, and how a stream plays its script.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use farthing::{
    Block, Work,
    wire::{
        BlockPlace, block_view,
        v1::{self, subscribe_blocks_response::Event},
    },
};
use farthing_client::Cursor;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Status};

use crate::node::{params, point, refusal};

/// What a stream does next.
#[derive(Debug, Clone)]
pub(crate) enum Part<M = v1::SubscribeBlocksResponse> {
    Frame(Box<M>),
    /// Nodes let who has used something up come again at once.
    Refuse(Code, &'static str),
    /// Nothing more, and the stream stays open.
    Silence,
}

/// What the streams of one method do one after the other, and what they were asked.
#[derive(Debug)]
pub(crate) struct Script<M, R> {
    pub(crate) streams: VecDeque<Vec<Part<M>>>,
    pub(crate) asked: Vec<R>,
}

impl<M, R> Default for Script<M, R> {
    fn default() -> Self {
        Self { streams: VecDeque::new(), asked: Vec::new() }
    }
}

impl<M, R> Script<M, R> {
    /// The next stream.
    pub(crate) fn will(&mut self, parts: impl IntoIterator<Item = Part<M>>) {
        self.streams.push_back(parts.into_iter().collect());
    }
}

pub(crate) type Frames<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// Plays a stream; without a script it is silent.
pub(crate) fn play<M: Send + 'static>(parts: Option<Vec<Part<M>>>) -> Frames<M> {
    let parts = parts.unwrap_or_else(|| vec![Part::Silence]);
    let ends_open = matches!(parts.last(), Some(Part::Silence));
    let frames = parts.into_iter().filter_map(|part| match part {
        Part::Frame(frame) => Some(Ok(*frame)),
        Part::Refuse(code, reason) => {
            let at_once = (code == Code::ResourceExhausted).then_some(Duration::ZERO);
            Some(Err(refusal(code, reason, at_once)))
        }
        Part::Silence => None,
    });
    let frames = tokio_stream::iter(frames.collect::<Vec<_>>());
    if ends_open { Box::pin(frames.chain(tokio_stream::pending())) } else { Box::pin(frames) }
}

pub(crate) fn view(block: &Block) -> v1::BlockView {
    let height = block.coinbase.height;
    let total_work = Work::new(2 * u128::from(height.get() + 1));
    let place = BlockPlace { block, id: block.id(), tx_ids: None, height, total_work, confirmations: 1 };
    block_view(params(), &place, false)
}

fn frame(cursor: &Cursor, event: Event) -> Part {
    Part::Frame(Box::new(v1::SubscribeBlocksResponse {
        cursor: cursor.as_bytes().to_vec().into(),
        tip: Some((&point(9, 20)).into()),
        event: Some(event),
    }))
}

pub(crate) fn behind(block: &Block) -> Cursor {
    Cursor::behind(block.coinbase.height, &block.id())
}

pub(crate) fn apply(block: &Block) -> Part {
    frame(&behind(block), Event::Apply(view(block)))
}

/// A block with the cursor of another.
pub(crate) fn apply_with(block: &Block, cursor: &Cursor) -> Part {
    frame(cursor, Event::Apply(view(block)))
}

pub(crate) fn undo(block: &Block, parent: &Block) -> Part {
    let undo = v1::BlockUndo {
        block_id: block.id().to_bytes().to_vec().into(),
        block_id_hex: block.id().to_string(),
        height: block.coinbase.height.get(),
    };
    frame(&behind(parent), Event::Undo(undo))
}

pub(crate) fn progress(behind_block: &Block) -> Part {
    frame(&behind(behind_block), Event::Progress(v1::Progress {}))
}

pub(crate) fn draining(behind_block: &Block) -> Part {
    frame(&behind(behind_block), Event::Draining(v1::Draining {}))
}
