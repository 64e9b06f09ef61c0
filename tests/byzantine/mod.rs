//! Nodes that speak the peer protocol and keep to nothing. One table says what they can do and what must come of it; each
//! deed is tried alone against a node with one honest peer, and all of them together by many against many.

mod alone;
mod bodies;
mod crowd;
mod floods;
mod headers;
mod host;
mod hostile;
mod identity;
mod receiving;
mod sockets;
mod transactions;

use futures_util::future::LocalBoxFuture;

use self::{
    Outcome::{Banned, Harmless, Scored},
    hostile::Hostile,
};

const HEADER: Outcome = Banned("sent an invalid header");
const BLOCK: Outcome = Banned("sent an invalid block");
const MALFORMED: Outcome = Banned("sent a malformed message");
const TRANSACTION: Outcome = Banned("sent an invalid transaction");
const UNASKED: Outcome = Banned("answered with something that was not asked for");
const UNWANTED: Outcome = Banned("delivered what was never wanted");

/// What must come of a deed for whoever does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is banned by the victim, at once or after a few times, for a reason that begins so.
    Banned(&'static str),
    /// It has points, and would be banned if it went on.
    Scored,
    /// Nothing: an honest node may do it too, or there is nobody to blame.
    Harmless,
}

/// Something that a hostile node does.
pub(crate) struct Behaviour {
    /// What it does.
    pub(crate) name: &'static str,
    /// What must come of it.
    pub(crate) outcome: Outcome,
    /// Does it. What must stay open is kept by the hostile node.
    pub(crate) act: for<'a> fn(&'a Hostile) -> LocalBoxFuture<'a, ()>,
}

impl Behaviour {
    /// Whether the victim has to dial the hostile node for it.
    pub(crate) fn has_to_be_dialled(&self) -> bool {
        self.name.starts_with("receiving::")
    }
}

/// The table, and a test of each entry alone.
macro_rules! behaviours {
    ($($room:ident { $($name:ident => $outcome:expr,)+ })+) => {
        /// Everything that a hostile node does.
        pub(crate) const ALL: &[Behaviour] = &[$($(Behaviour {
            name: concat!(stringify!($room), "::", stringify!($name)),
            outcome: $outcome,
            act: |me| Box::pin($room::$name(me)),
        },)+)+];

        /// One test for each.
        mod one {
            $(mod $room {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let name = concat!(stringify!($room), "::", stringify!($name));
                    crate::byzantine::alone::try_one(name).await;
                })+
            })+
        }
    };
}

// The order is that of an attacker that does them all: the ones that keep a victim busy for a while come last.
behaviours! {
    receiving {
        headers_without_work => HEADER,
        bodies_that_are_none => MALFORMED,
        too_many_addresses => MALFORMED,
        news_that_cannot_be_read => MALFORMED,
        wants_without_end => Scored,
        no_answer_to_a_handshake => Harmless,
        no_bodies => Harmless,
        news_without_end => Harmless,
    }
    identity {
        another_genesis => Harmless,
        another_protocol => Harmless,
        hellos_that_cannot_be_read => Harmless,
        the_victims_own_id => Harmless,
        the_id_of_another_node => Harmless,
        tokens_of_yesterday => Harmless,
        handshakes_that_nobody_follows => Harmless,
    }
    transactions {
        forged_signatures => TRANSACTION,
        transfers_of_another_network => TRANSACTION,
        one_transaction_twice_in_an_answer => UNASKED,
        conflicting_transfers => Harmless,
        transfers_that_were_mined_long_ago => Harmless,
        announced_and_never_sent => Harmless,
    }
    bodies {
        a_mutated_body => BLOCK,
        a_mutated_body_before_the_real_one => BLOCK,
        a_wrong_transaction_root => BLOCK,
        a_wrong_commitment => BLOCK,
        a_coinbase_of_more_than_its_due => BLOCK,
        a_block_with_a_forged_signature => BLOCK,
        a_block_that_spends_twice => BLOCK,
        another_block_than_the_wanted_one => UNASKED,
        bytes_that_are_no_block => MALFORMED,
        a_compact_block_with_one_short_id_twice => MALFORMED,
        withheld_bodies => Harmless,
        bodies_that_nobody_wanted => UNWANTED,
        headers_in_place_of_a_body => UNWANTED,
    }
    floods {
        addresses_of_nobody => Harmless,
        addresses_that_are_none => MALFORMED,
        lists_that_are_too_long => MALFORMED,
        messages_that_are_too_large => Harmless,
        adverts_without_end => Harmless,
        questions_without_end => Scored,
    }
    sockets {
        silent_and_slow => Harmless,
        connections_without_end => Harmless,
        resets_without_end => Harmless,
        bytes_that_mean_nothing => Harmless,
        messages_that_mean_nothing => Harmless,
    }
    headers {
        without_work => HEADER,
        wrong_bits => HEADER,
        a_time_not_after_the_parents => HEADER,
        a_time_far_ahead => Harmless,
        headers_that_do_not_stand_on_one_another => MALFORMED,
        headers_without_end => Harmless,
        headers_in_a_circle => Harmless,
        orphans => Harmless,
        stale_tips => Harmless,
        two_blocks_of_one_height => Harmless,
    }
}
