//! The blocks that the pool would fill, and what waits at which rate.

use super::*;

const LEVELS: [u64; 3] = [0, 200, 400];

fn limits(bytes: usize) -> TemplateLimits {
    TemplateLimits { height: Height::new(11), bytes, signature_units: 100, openings: 100, count: usize::MAX }
}

/// Transfers of accounts 1 to 5, at rates of 100 to 500 mites per byte and a little.
fn pool() -> (Fixture, usize) {
    let mut fixture = Fixture::new(PoolLimits::default());
    let bytes = Spend::new(1, 0, 1).signed().size_bytes();
    for from in 1..=5_u8 {
        let fee = u64::from(from) * 100 * bytes as u64 + 5;
        assert_eq!(fixture.admit(&Spend::new(from, 0, fee)), Ok(PoolStatus::Pending));
    }
    (fixture, bytes)
}

#[test]
fn the_first_projected_block_is_the_template_and_the_next_ones_hold_the_rest() {
    let (fixture, bytes) = pool();
    // Two fit into a block, with a little to spare.
    let limits = limits(2 * bytes + 7);
    let prices = fixture.pool.offers().prices(&limits, 10, &LEVELS);
    let rates: Vec<Vec<u64>> =
        prices.blocks.iter().map(|block| block.cheapest.iter().map(super::super::Paid::rate).collect()).collect();
    assert_eq!(rates, [vec![400, 500], vec![200, 300], vec![100]], "the cheapest of each block first");
    assert_eq!(fixture.pool.select(&limits).len(), prices.blocks[0].transactions);
    let free: Vec<usize> = prices.blocks.iter().map(|block| block.free.bytes).collect();
    assert_eq!(free, [7, 7, bytes + 7]);
    assert_eq!(fixture.pool.offers().prices(&limits, 2, &LEVELS).blocks.len(), 2, "no more blocks than were asked for");
}

#[test]
fn a_projected_block_keeps_no_more_than_one_transaction_can_have_to_outbid() {
    let mut view = funded(1_000_000_000_000);
    view.height = Height::new(10);
    let mut fixture = Fixture { pool: Pool::new(dev(), PoolLimits::default(), Arc::new(view.clone())), view };
    for nonce in 0..200 {
        let to = stranger(u8::try_from(nonce).unwrap());
        fixture.admit(&Spend { to, ..Spend::new(1, nonce, 10_100_000) }).unwrap();
    }
    let kept = |openings| {
        let limits = TemplateLimits { signature_units: 1_000, openings, ..limits(1 << 20) };
        let prices = fixture.pool.offers().prices(&limits, 1, &LEVELS);
        (prices.blocks[0].transactions, prices.blocks[0].cheapest.len())
    };
    // 64 openings are more than enough for 4,096 bytes and 5 signature units.
    assert_eq!(kept(200), (200, 64));
    assert_eq!(kept(240), (200, 24), "what is free need not be outbid");
    assert_eq!(kept(1_000), (200, 1), "the least is told in any case");
}

#[test]
fn what_waits_is_counted_by_levels() {
    let (fixture, bytes) = pool();
    let levels = fixture.pool.offers().prices(&limits(usize::MAX), 1, &LEVELS).levels;
    let counts: Vec<(usize, usize)> = levels.iter().map(|level| (level.transactions, level.bytes)).collect();
    assert_eq!(counts, [(1, bytes), (2, 2 * bytes), (2, 2 * bytes)]);
}
